package config

import (
	"crypto/tls"
	"net/netip"
	"path"
	"regexp"
	"strings"
)

func (c *Config) checkHTTP(k *checker) {
	h := &c.HTTP
	if h.AdminAddr != "" && h.AdminAddr == h.Addr && !strings.HasSuffix(h.Addr, ":0") {
		k.fault("ADMIN_ADDR", h.AdminAddr, "want another address than HTTP_ADDR: the admin API is never on the public listener")
	}
	for _, o := range h.AllowedOrigins {
		switch _, host, ok := strings.Cut(o, "://"); {
		case o == "*" || ok && host == "*":
			c.warn("ALLOWED_ORIGINS", "* lets the pages of every site use this server")
		case o == "null":
			c.warn("ALLOWED_ORIGINS", "null lets every local file and sandboxed page use this server")
		}
	}
	for _, p := range h.Proxies {
		if p.Bits() == 0 {
			c.warn("TRUSTED_PROXIES", p.String()+" lets every client choose its own address")
		}
	}
	switch {
	case h.TLSCertFile == "" && h.TLSKeyFile == "":
	case h.TLSCertFile == "":
		k.say("TLS_CERT_FILE", "missing; TLS_KEY_FILE is set and both are needed")
	case h.TLSKeyFile == "":
		k.say("TLS_KEY_FILE", "missing; TLS_CERT_FILE is set and both are needed")
	default:
		if _, err := tls.LoadX509KeyPair(h.TLSCertFile, h.TLSKeyFile); err != nil {
			k.say("TLS_CERT_FILE", "cannot load the certificate and TLS_KEY_FILE: "+err.Error())
		}
	}
}

// Origins are browser origins in lower case: scheme://host, a host of the server's own scheme, or
// null. * is a wildcard in the host of a web page.
type Origins []string

func (origins *Origins) read(name, text string, k *checker) {
	for _, o := range trimmed(strings.ToLower(text)) {
		*origins = append(*origins, o)
		scheme, host, ok := strings.Cut(o, "://")
		if !ok {
			scheme, host = "https", o
		}
		_, err := path.Match(host, "")
		switch {
		case err != nil || host == "" || strings.ContainsAny(host, "/@ ") || !originScheme.MatchString(scheme):
			k.fault(name, o, "want a comma list of origins without path, such as https://app.example.com, https://*.example.com, capacitor://localhost or null")
		case scheme != "http" && scheme != "https" && strings.ContainsAny(host, "*?[\\"):
			k.fault(name, o, "want an exact host; only http and https take wildcards")
		}
	}
}

// originScheme matches a scheme of RFC 3986, in lower case.
var originScheme = regexp.MustCompile(`^[a-z][a-z0-9+.-]*$`)

// Networks are masked prefixes; a single address is a network of one.
type Networks []netip.Prefix

func (networks *Networks) read(name, text string, k *checker) {
	for _, s := range trimmed(text) {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			var a netip.Addr
			if a, err = netip.ParseAddr(s); err == nil {
				p, err = a.WithZone("").Prefix(a.BitLen())
			}
		}
		if err != nil {
			k.fault(name, s, "want a comma list of addresses or networks, such as 10.0.0.0/8 or 192.0.2.7")
			continue
		}
		*networks = append(*networks, p.Masked())
	}
}
