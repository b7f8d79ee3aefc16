package endpoint

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/fxcast/fxcast/cache"
	"github.com/fxcast/fxcast/internal/redislink"
	"github.com/fxcast/fxcast/session"
)

// A Problem is an error that the client receives as problem+json (RFC 9457). Cause may be nil;
// it goes to the log only.
type Problem struct {
	Status     int
	Title      string
	Detail     string
	RetryAfter time.Duration // rounded up to seconds; 0: no Retry-After header
	Cause      error
}

// Error implements error.
func (p *Problem) Error() string {
	if p.Cause != nil {
		return fmt.Sprintf("%s: %v", p.Title, p.Cause)
	}
	return p.Title + ": " + p.Detail
}

// Unwrap returns the cause.
func (p *Problem) Unwrap() error { return p.Cause }

// ErrAnswered means that the handler has written an answer before it failed.
var ErrAnswered = errors.New("web: answered")

// Answered returns an error that wraps err and ErrAnswered, for a handler that fails after it
// has written an answer.
func Answered(err error) error { return fmt.Errorf("%w: %w", ErrAnswered, err) }

// BadRequest returns a 400 whose detail is formatted as by fmt.Sprintf.
func BadRequest(format string, args ...any) *Problem {
	return &Problem{Status: http.StatusBadRequest, Title: "Bad request", Detail: fmt.Sprintf(format, args...)}
}

// BadRequestOf returns a 400 for an error about invalid input. It cuts off the prefix of the
// package: "session: invalid: role: missing" becomes "role: missing".
func BadRequestOf(err error) *Problem {
	text := err.Error()
	for _, prefix := range []string{"session: ", "limiter: ", "cache: "} {
		if rest, ok := strings.CutPrefix(text, prefix); ok {
			text = strings.TrimPrefix(strings.TrimPrefix(rest, "invalid: "), "invalid ")
		}
	}
	return &Problem{Status: http.StatusBadRequest, Title: "Bad request", Detail: text}
}

// Unauthorized returns a 401 for a request without a valid session.
func Unauthorized(detail string) *Problem {
	return &Problem{Status: http.StatusUnauthorized, Title: "No valid session", Detail: detail}
}

// BadToken returns a 401 for a request without a valid admin or publish token.
func BadToken(detail string) *Problem {
	return &Problem{Status: http.StatusUnauthorized, Title: "Not authorized", Detail: detail}
}

// Forbidden returns a 403.
func Forbidden(detail string) *Problem {
	return &Problem{Status: http.StatusForbidden, Title: "Forbidden", Detail: detail}
}

// NotFound returns a 404.
func NotFound(detail string) *Problem {
	return &Problem{Status: http.StatusNotFound, Title: "Not found", Detail: detail}
}

// NotAllowed returns a 405 and sets the Allow header.
func NotAllowed(w http.ResponseWriter, allow string) *Problem {
	w.Header().Set("Allow", allow)
	return &Problem{Status: http.StatusMethodNotAllowed, Title: "Method not allowed", Detail: "allowed: " + allow}
}

// Unavailable returns a 503 that asks the client to retry after 2 s.
func Unavailable(detail string, cause error) *Problem {
	return &Problem{Status: http.StatusServiceUnavailable, Title: "Unavailable", Detail: detail, RetryAfter: 2 * time.Second, Cause: cause}
}

// AsProblem maps an error to the problem that a client may see. An error that it does not know
// becomes an internal error (500), and its text goes only to the log.
func AsProblem(err error) *Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	if tooBig, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return &Problem{Status: http.StatusRequestEntityTooLarge, Title: "Body too large",
			Detail: fmt.Sprintf("the body must not exceed %d bytes", tooBig.Limit)}
	}
	switch {
	case errors.Is(err, session.ErrNotFound), errors.Is(err, session.ErrCorrupt):
		return Unauthorized("sign in, or request a guest session if the server allows them")
	case errors.Is(err, session.ErrTooManyGuests):
		return &Problem{Status: http.StatusServiceUnavailable, Title: "Too many guests", Detail: "the server has as many guests as GUEST_MAX allows; sign in, or try again", RetryAfter: time.Minute, Cause: err}
	case errors.Is(err, session.ErrInvalid):
		return BadRequestOf(err)
	case errors.Is(err, redislink.ErrUnavailable), errors.Is(err, cache.ErrUnavailable),
		errors.Is(err, cache.ErrClosed), errors.Is(err, context.DeadlineExceeded):
		return Unavailable(LostRedis(err)+"; try again", err)
	}
	return &Problem{Status: http.StatusInternalServerError, Title: "Internal error", Cause: err}
}

// LostRedis returns a text for the client that describes the fault of Redis.
func LostRedis(err error) string {
	switch code, trouble := redislink.Code(err), redislink.Trouble(err); {
	case trouble != "":
		return trouble
	case code != "":
		return "Redis answers, and does not do what it is asked (" + code + ")"
	}
	return "Redis cannot be reached"
}

// A problemBody is the JSON of a problem.
type problemBody struct {
	Type     string `json:"type"`
	Title    string `json:"title"`
	Status   int    `json:"status"`
	Detail   string `json:"detail,omitempty"`
	Instance string `json:"instance,omitempty"`
}

// WriteProblem answers a request with the problem of err. It logs a 5xx other than 501, with
// the cause that the client does not see. If err wraps ErrAnswered it does nothing.
func WriteProblem(w http.ResponseWriter, r *http.Request, log *slog.Logger, err error) {
	if errors.Is(err, ErrAnswered) {
		return
	}
	p := AsProblem(err)
	if p.Status >= 500 && p.Status != http.StatusNotImplemented {
		log.Error("request failed", "request", RequestID(r), "path", r.URL.Path, "status", p.Status, "err", err)
	}
	h := w.Header()
	if p.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(p.RetryAfter.Seconds()))))
	}
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", "Bearer")
	}
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	h.Del("ETag")
	w.WriteHeader(p.Status)
	body := problemBody{"about:blank", p.Title, p.Status, p.Detail, "urn:request:" + RequestID(r)}
	_ = json.NewEncoder(w).Encode(body) // the client may have gone
}
