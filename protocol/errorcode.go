package protocol

// Codes of error messages, and of the refusals in an ack.
const (
	ErrorBadJSON        = "bad_json"
	ErrorBadField       = "bad_field"
	ErrorUnknownOp      = "unknown_op"
	ErrorUnknownSymbol  = "unknown_symbol"
	ErrorUnknownChannel = "unknown_channel"
	ErrorTooManySymbols = "too_many_symbols"
	ErrorNotEntitled    = "not_entitled"
	ErrorNotSubscribed  = "not_subscribed"
	ErrorRateLimited    = "rate_limited"
)

// An ErrorCode describes a code.
type ErrorCode struct {
	Code    string
	Meaning string // Markdown
	Refusal bool   // an ack may refuse a name with it; otherwise only error messages carry it
}

// ErrorCodes returns all codes, in the order of the documents. The caller owns the slice.
func ErrorCodes() []ErrorCode {
	return []ErrorCode{
		{ErrorBadJSON, "not one JSON object", false},
		{ErrorBadField, "a field has the wrong type or value; the message names it", false},
		{ErrorUnknownOp, "want subscribe, unsubscribe, pace, list or ping", false},
		{ErrorUnknownSymbol, "not two different known codes: ISO 4217, XAU, XAG, XPT, XPD, CNH and those of `INSTRUMENTS`", true},
		{ErrorUnknownChannel, "not one of `FEED_CHANNELS`, or not for this role", true},
		{ErrorTooManySymbols, "beyond `limits.max_symbols`", true},
		{ErrorNotEntitled, "the role does not include the symbol, or the mode", true},
		{ErrorNotSubscribed, "unsubscribe of something that is not subscribed", true},
		{ErrorRateLimited, "more than `limits.commands_per_second`, or than a connection may resume; wait `retry_after_ms`", false},
	}
}
