package redislink

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/redis/go-redis/v9"
)

// ErrUnavailable means that Redis did not do what it was asked, or is not known to have: it did not
// answer, could not be reached, or refused.
//
//lint:ignore ST1005 Redis is a name
var ErrUnavailable = errors.New("Redis is not available")

// ErrRefused is an answer by which Redis refused a command. It wraps ErrUnavailable and the answer.
type ErrRefused struct {
	Code string // the word the answer begins with: OOM, READONLY, MISCONF, NOPERM, LOADING…
	Err  error  // the answer
}

// Error begins with the words of Trouble, if there are any.
func (e *ErrRefused) Error() string {
	return fmt.Sprintf("%s: %v", cmp.Or(Trouble(e), ErrUnavailable.Error()), e.Err)
}
func (e *ErrRefused) Unwrap() []error { return []error{ErrUnavailable, e.Err} }

// Unavailable wraps the error of a command so that errors.Is finds ErrUnavailable. It is an
// *ErrRefused if Redis refused. doing, which may be empty, names what was tried. nil stays nil.
func Unavailable(doing string, err error) error {
	if err == nil {
		return nil
	}
	cause := err
	if doing != "" {
		cause = fmt.Errorf("%s: %w", doing, err)
	}
	switch {
	case errors.Is(err, ErrUnavailable):
		return cause
	case Code(err) != "":
		return &ErrRefused{Code: Code(err), Err: cause}
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, cause)
}

// IsFull reports whether Redis refused for want of memory.
func IsFull(err error) bool { return Code(err) == "OOM" }

// refusals says what is wrong with a Redis that answers and will refuse the next write too.
var refusals = map[string]string{
	"BUSY":       "Redis runs a long script and refuses all other commands (BUSY)",
	"MISCONF":    "Redis cannot save to its disk and refuses to write (MISCONF)",
	"NOREPLICAS": "Redis has fewer replicas than min-replicas-to-write and refuses to write (NOREPLICAS)",
	"OOM":        "Redis is full and refuses to write (OOM)",
	"READONLY":   "Redis is a replica and refuses to write (READONLY)",
}

// denials says what is wrong with a Redis that answers and does nothing for this process.
var denials = map[string]string{
	"LOADING":    "Redis is loading its data (LOADING)",
	"MAXCLIENTS": "Redis has as many connections as its maxclients allows (MAXCLIENTS)",
	"NOAUTH":     "Redis wants a password (NOAUTH)",
	"WRONGPASS":  "Redis does not accept the user or the password (WRONGPASS)",
}

// Refusal returns in words why a Redis that answers refuses to write, with the code of its answer. It
// is "" for every other error.
func Refusal(err error) string { return refusals[Code(err)] }

// Trouble returns Refusal, or in words why a Redis that answers does nothing for this process. It is
// "" for every other error.
func Trouble(err error) string { return cmp.Or(Refusal(err), denials[Code(err)]) }

// Code returns the code of an answer by which Redis refused: the upper-case word it begins with, or
// ERR. It is "" for every other error, such as a missing key or a lost connection.
func Code(err error) string {
	if refused, ok := errors.AsType[*ErrRefused](err); ok {
		return refused.Code
	}
	if before, ok := errors.AsType[*notSentError](err); ok {
		return Code(before.cause)
	}
	answer, ok := errors.AsType[redis.Error](err)
	if !ok || errors.Is(answer, redis.Nil) {
		return ""
	}
	text := strings.TrimPrefix(answer.Error(), "ERR ") // some servers put it before other codes
	if _, inner, ok := strings.Cut(text, "@user_script: "); ok && strings.HasPrefix(text, "Error running script") {
		// Before 7.0: "Error running script (call to f_…): @user_script:3: @user_script: 3: -OOM …".
		if _, refused, ok := strings.Cut(inner, ": -"); ok {
			text = refused
		}
	}
	word, _, _ := strings.Cut(text, " ")
	switch {
	case strings.HasPrefix(text, "max number of clients"):
		return "MAXCLIENTS"
	case word == "" || strings.ToUpper(word) != word || strings.Trim(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "":
		return "ERR"
	}
	return word
}

// AskedOf returns the address of the server that has the keys of a command, if the answer is that
// their slot is on its way to it (ASK). The command is for that server then, after ASKING.
func AskedOf(err error) (addr string, ok bool) {
	if Code(err) != "ASK" {
		return "", false
	}
	answer, ok := errors.AsType[redis.Error](err)
	if !ok {
		return "", false
	}
	fields := strings.Fields(answer.Error())
	if len(fields) != 3 {
		return "", false
	}
	return fields[2], true
}

// Failure is why Redis did not do what it was asked. Its String is a metric label.
type Failure int

// The failures, from a Redis that is lost to one that answers and refuses.
const (
	FailTimeout    Failure = iota // timeout: no answer in time
	FailConnection                // connection: none, or it broke
	FailLoading                   // loading: Redis is starting, or has no master or too few nodes
	FailMemory                    // memory: it is full
	FailRefused                   // refused: no permission, read-only, or something else
	Failures                      // how many there are
)

func (f Failure) String() string {
	return [Failures]string{"timeout", "connection", "loading", "memory", "refused"}[f]
}

// FailureOf sorts an error of a command.
func FailureOf(err error) Failure {
	switch Code(err) {
	case "":
	case "LOADING", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN":
		return FailLoading
	case "OOM":
		return FailMemory
	default:
		return FailRefused
	}
	if isTimeout(err) {
		return FailTimeout
	}
	return FailConnection
}

func isTimeout(err error) bool {
	n, ok := errors.AsType[net.Error](err)
	return ok && n.Timeout() || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, redis.ErrPoolTimeout)
}

// MayRetry reports that a command was certainly not executed, and that the same one may succeed
// soon or on another server.
func MayRetry(err error) bool {
	switch Code(err) {
	case "LOADING", "MASTERDOWN", "READONLY", "CLUSTERDOWN", "TRYAGAIN", "MOVED", "ASK", "NOSCRIPT", "BUSY", "MAXCLIENTS":
		return true
	}
	if _, ok := errors.AsType[*notSentError](err); ok {
		return true
	}
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial" || errors.Is(err, redis.ErrPoolTimeout) || errors.Is(err, redis.ErrClosed)
}

// NotSent marks an error from before a connection could carry a command: MayRetry is true of it, and
// Code reads the marked error. It does not unwrap, since go-redis strips one layer off the errors of
// its OnConnect hook.
func NotSent(err error) error { return &notSentError{err} }

type notSentError struct{ cause error }

func (e *notSentError) Error() string { return fmt.Sprintf("connect: %v", e.cause) }
