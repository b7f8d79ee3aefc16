package client

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// ErrClosed is returned after Close of the Client or of the Subscription.
var ErrClosed = errors.New("client: closed")

// A RefusedError reports that the server refused the client for good. Code is the HTTP status of a
// refused connect, or the code with which the server closed the connection.
type RefusedError struct {
	Code   int
	Reason string
}

// Error implements error.
func (e *RefusedError) Error() string {
	if e.Reason == "" {
		return fmt.Sprintf("client: refused by the server: %d", e.Code)
	}
	return fmt.Sprintf("client: refused by the server: %d %s", e.Code, e.Reason)
}

// The reasons of a GapError.
const (
	GapMissing = "missing" // quotes are missing
	GapEpoch   = "epoch"   // the server's counter began again; quotes before that may be missing
	GapReset   = "reset"   // quotes before the first one may be missing
)

// A GapError reports that quotes of a symbol are missing, or may be.
type GapError struct {
	Symbol  string
	Reason  string
	Missing uint64   // 0 if unknown
	After   Position // the quote before the gap; zero if there was none
	Before  Position // the quote after the gap, which follows
}

// Error implements error.
func (e *GapError) Error() string {
	switch e.Reason {
	case GapEpoch:
		return fmt.Sprintf("client: %s: new epoch %s after %s: quotes may be missing", e.Symbol, e.Before.Epoch, e.After.Epoch)
	case GapReset:
		return fmt.Sprintf("client: %s: quotes before %d may be missing", e.Symbol, e.Before.Seq)
	}
	return fmt.Sprintf("client: %s: %d quotes are missing between %d and %d", e.Symbol, e.Missing, e.After.Seq, e.Before.Seq)
}

// A ProtocolError reports that the server broke the protocol. The connection is replaced.
type ProtocolError struct{ What string }

// Error implements error.
func (e *ProtocolError) Error() string { return "client: the server broke the protocol: " + e.What }

// A CommandError reports that the server refused a command, or one name of it.
type CommandError struct {
	Code    string // an error code of the protocol, such as unknown_symbol
	Symbol  string // if one name was refused
	Message string
}

// Error implements error.
func (e *CommandError) Error() string {
	if e.Symbol != "" {
		return fmt.Sprintf("client: %s: %s: %s", e.Symbol, e.Code, e.Message)
	}
	return fmt.Sprintf("client: %s: %s", e.Code, e.Message)
}

// A StatusError is an HTTP answer that refuses a connect or a ticket.
type StatusError struct {
	Status     int
	RetryAfter time.Duration // 0 if the server advised none
}

// Error implements error.
func (e *StatusError) Error() string {
	return fmt.Sprintf("client: the server answered %d %s", e.Status, http.StatusText(e.Status))
}

// NewStatusError returns the error for an HTTP answer, with its advice.
func NewStatusError(resp *http.Response) *StatusError {
	return &StatusError{Status: resp.StatusCode, RetryAfter: retryAfter(resp.Header.Get("Retry-After"))}
}

func retryAfter(text string) time.Duration {
	if seconds, err := strconv.ParseUint(text, 10, 32); err == nil {
		return min(time.Duration(seconds)*time.Second, maxAdvice)
	}
	if at, err := http.ParseTime(text); err == nil {
		return min(max(time.Until(at), 0), maxAdvice)
	}
	return 0
}
