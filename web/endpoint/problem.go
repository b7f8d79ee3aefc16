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

// A Problem is an error that the client gets as RFC 9457 problem+json. Cause, if any, is
// for the log only.
type Problem struct {
	Status     int
	Title      string
	Detail     string
	RetryAfter time.Duration // 0: none
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

// ErrAnswered is the error of a request that has been answered already.
var ErrAnswered = errors.New("web: answered")

// Answered wraps the reason why a handler that has written an answer gave up.
func Answered(err error) error { return fmt.Errorf("%w: %w", ErrAnswered, err) }

// BadRequest is 400 with what is wrong.
func BadRequest(format string, args ...any) *Problem {
	return &Problem{Status: http.StatusBadRequest, Title: "Bad request", Detail: fmt.Sprintf(format, args...)}
}

// BadRequestOf is 400 with what a package finds wrong with its input, without the words it
// puts before: "session: invalid: role: missing" is "role: missing".
func BadRequestOf(err error) *Problem {
	text := err.Error()
	for _, prefix := range []string{"session: ", "limiter: ", "cache: "} {
		if rest, ok := strings.CutPrefix(text, prefix); ok {
			text = strings.TrimPrefix(strings.TrimPrefix(rest, "invalid: "), "invalid ")
		}
	}
	return &Problem{Status: http.StatusBadRequest, Title: "Bad request", Detail: text}
}

// Unauthorized is 401 for want of a session.
func Unauthorized(detail string) *Problem {
	return &Problem{Status: http.StatusUnauthorized, Title: "No valid session", Detail: detail}
}

// BadToken is 401 for want of a token of the settings.
func BadToken(detail string) *Problem {
	return &Problem{Status: http.StatusUnauthorized, Title: "Not authorized", Detail: detail}
}

// Forbidden is 403.
func Forbidden(detail string) *Problem {
	return &Problem{Status: http.StatusForbidden, Title: "Forbidden", Detail: detail}
}

// NotFound is 404.
func NotFound(detail string) *Problem {
	return &Problem{Status: http.StatusNotFound, Title: "Not found", Detail: detail}
}

// NotAllowed is 405, and sets the header that goes with it.
func NotAllowed(w http.ResponseWriter, allow string) *Problem {
	w.Header().Set("Allow", allow)
	return &Problem{Status: http.StatusMethodNotAllowed, Title: "Method not allowed", Detail: "allowed: " + allow}
}

// Unavailable is 503, to be tried again.
func Unavailable(detail string, cause error) *Problem {
	return &Problem{Status: http.StatusServiceUnavailable, Title: "Unavailable", Detail: detail, RetryAfter: 2 * time.Second, Cause: cause}
}

// AsProblem maps every error to what a client may know of it. An error that is not known
// here is an internal error, and its text stays in the log.
func AsProblem(err error) *Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	if tooBig, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return &Problem{Status: http.StatusRequestEntityTooLarge, Title: "Body too large",
			Detail: fmt.Sprintf("the body may have at most %d bytes", tooBig.Limit)}
	}
	switch {
	case errors.Is(err, session.ErrNotFound), errors.Is(err, session.ErrCorrupt):
		return Unauthorized("sign in, or ask for a guest session where the server allows it")
	case errors.Is(err, session.ErrInvalid):
		return BadRequestOf(err)
	case errors.Is(err, redislink.ErrUnavailable), errors.Is(err, cache.ErrUnavailable),
		errors.Is(err, cache.ErrClosed), errors.Is(err, context.DeadlineExceeded):
		return Unavailable(LostRedis(err)+"; try again", err)
	}
	return &Problem{Status: http.StatusInternalServerError, Title: "Internal error", Cause: err}
}

// LostRedis returns what is wrong with Redis, for the client.
func LostRedis(err error) string {
	switch code, refusal := redislink.Code(err), redislink.Refusal(err); {
	case refusal != "":
		return refusal
	case code != "":
		return "Redis answers, and does not do what it is asked (" + code + ")"
	}
	return "Redis can not be reached"
}

// A problemBody is a problem as the client gets it.
type problemBody struct {
	Type     string `json:"type"`
	Title    string `json:"title"`
	Status   int    `json:"status"`
	Detail   string `json:"detail,omitempty"`
	Instance string `json:"instance,omitempty"`
}

// WriteProblem answers with err, and logs what the client does not get of it.
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
