package protocol

// Close codes of RFC 6455 section 7.4, of the IANA registry, and of this program from 4000 on.
const (
	CodeGoingAway     = 1001
	CodeProtocolError = 1002
	CodeNotText       = 1003
	CodeBadText       = 1007
	CodePolicy        = 1008
	CodeTooBig        = 1009
	CodeInternal      = 1011
	CodeRestart       = 1012
	CodeTryLater      = 1013
	CodeSession       = 4001
	CodeSlow          = 4008
	CodeTooMany       = 4009
	CodeRateLimited   = 4029
)

// A Reconnect is whether a client may reconnect after its connection was closed. The text is
// Markdown for the documents.
type Reconnect string

// The values of Reconnect.
const (
	ReconnectNo      Reconnect = "no"
	ReconnectYes     Reconnect = "yes"
	ReconnectAdvised Reconnect = "yes, after `reconnect_after_ms`" // without the advice the same as ReconnectYes
)

// A Close is one way in which the server ends a connection. Several may share a code, which is what
// clients act on. The reason is for people who read logs.
type Close struct {
	Code      int
	Reason    string // at most 123 bytes
	Reconnect Reconnect
	Label     string // label of the metric that counts connections ended by the server
	Meaning   string // Markdown
}

// Every way in which the server ends a connection.
var (
	CloseSilent = Close{CodeGoingAway, "no answer to pings", ReconnectAdvised, "silent",
		"the server goes away, or the client answered no ping"}
	// The WebSocket library detects protocol errors and chooses the reason itself.
	CloseProtocolError = Close{CodeProtocolError, "protocol error", ReconnectNo, "closed",
		"frames that break RFC 6455"}
	CloseNotText = Close{CodeNotText, "want JSON text, not binary", ReconnectNo, "closed",
		"binary message"}
	CloseBadText = Close{CodeBadText, "text is not valid UTF-8", ReconnectNo, "closed",
		"text is not UTF-8"}
	CloseBadMessages = Close{CodePolicy, "too many bad messages in a row", ReconnectNo, "closed",
		"20 bad messages in a row"}
	CloseFlooded = Close{CodePolicy, "too many control frames or fragments", ReconnectNo, "closed",
		"too many control frames, or fragments of one message"}
	CloseKicked = Close{CodePolicy, "closed by an operator", ReconnectNo, "closed",
		"an operator closed the connection"}
	CloseTooBig = Close{CodeTooBig, "message too big", ReconnectNo, "closed",
		"message above `limits.max_message_bytes`"}
	CloseLost = Close{CodeInternal, "internal", ReconnectYes, "lost", // the code reaches no client
		"internal error"}
	ClosePanic = Close{CodeInternal, "internal", ReconnectYes, "panic",
		"internal error"}
	CloseRestart = Close{CodeRestart, "restart", ReconnectAdvised, "closed",
		"the server restarts"}
	CloseStalled = Close{CodeTryLater, "nothing could be written", ReconnectYes, "stalled",
		"the client took nothing for `WS_WRITE_TIMEOUT`"}
	CloseExpired = Close{CodeSession, "session expired", ReconnectNo, "closed",
		"the session expired"}
	CloseRevoked = Close{CodeSession, "session revoked", ReconnectNo, "closed",
		"the session was revoked"}
	CloseOtherRights = Close{CodeSession, "session has other rights now", ReconnectNo, "closed",
		"the session was given another role or user"}
	CloseUnchecked = Close{CodeSession, "session cannot be checked", ReconnectNo, "closed",
		"Redis was lost for longer than `SESSION_GRACE`"}
	CloseSlow = Close{CodeSlow, "slow consumer", ReconnectYes, "slow",
		"too slow for mode `all`, or for closed candles"}
	CloseTooMany = Close{CodeTooMany, "too many connections", ReconnectAdvised, "closed",
		"too many connections of this user"}
	CloseRateLimited = Close{CodeRateLimited, "rate limited", ReconnectAdvised, "closed",
		"20 rate-limited messages in a row"}
)

// Closes returns every Close, ordered by code. The caller owns the slice.
func Closes() []Close {
	return []Close{
		CloseSilent, CloseProtocolError, CloseNotText, CloseBadText, CloseBadMessages, CloseFlooded, CloseKicked, CloseTooBig,
		CloseLost, ClosePanic, CloseRestart, CloseStalled, CloseExpired, CloseRevoked, CloseOtherRights, CloseUnchecked,
		CloseSlow, CloseTooMany, CloseRateLimited,
	}
}

// CloseCodes returns one Close per code, ordered by code. Its Meaning joins those of all that share
// the code; all other fields are those of the first.
func CloseCodes() []Close {
	var codes []Close
	for _, c := range Closes() {
		n := len(codes)
		switch {
		case n == 0 || codes[n-1].Code != c.Code:
			codes = append(codes, c)
		case codes[n-1].Meaning != c.Meaning:
			codes[n-1].Meaning += "; " + c.Meaning
		}
	}
	return codes
}

// ReconnectAfter returns whether a client may reconnect after a close code. It may after an unknown
// code, such as 1006 for a lost connection.
func ReconnectAfter(code int) Reconnect {
	for _, c := range Closes() {
		if c.Code == code {
			return c.Reconnect
		}
	}
	return ReconnectYes
}
