package httplimit

// ParseAddress reads an address as ClientAddress does.
var ParseAddress = parseAddress
