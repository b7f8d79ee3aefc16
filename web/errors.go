package web

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
	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/session"
)

// A problem is an error that is told to the client as RFC 9457 problem+json.
// Cause, if any, is for the log only.
type problem struct {
	Status     int
	Title      string
	Detail     string
	RetryAfter time.Duration // 0: none
	Cause      error
}

func (p *problem) Error() string {
	if p.Cause != nil {
		return fmt.Sprintf("%s: %v", p.Title, p.Cause)
	}
	return p.Title + ": " + p.Detail
}

func (p *problem) Unwrap() error { return p.Cause }

// errHandled says that an error has been answered already.
var errHandled = errors.New("web: answered")

func handled(err error) error { return fmt.Errorf("%w: %w", errHandled, err) }

func badRequest(format string, args ...any) error {
	return &problem{Status: http.StatusBadRequest, Title: "Bad request", Detail: fmt.Sprintf(format, args...)}
}

// ErrNotPermitted says that Redis answered, and does not let its user do what was
// asked.
var ErrNotPermitted = errors.New("web: Redis does not permit it")

// plainFault is what a package says about its input, without the words it puts
// before: "session: invalid: role: missing" is "role: missing".
func plainFault(err error) string {
	text := err.Error()
	for _, prefix := range []string{"session: ", "limiter: ", "cache: "} {
		if rest, ok := strings.CutPrefix(text, prefix); ok {
			text = strings.TrimPrefix(strings.TrimPrefix(rest, "invalid: "), "invalid ")
		}
	}
	return text
}

func badRequestOf(err error) *problem {
	return &problem{Status: http.StatusBadRequest, Title: "Bad request", Detail: plainFault(err)}
}

func unauthorized(detail string) error {
	return &problem{Status: http.StatusUnauthorized, Title: "No valid session", Detail: detail}
}

func forbidden(detail string) error {
	return &problem{Status: http.StatusForbidden, Title: "Forbidden", Detail: detail}
}

func unavailable(detail string, cause error) error {
	return &problem{Status: http.StatusServiceUnavailable, Title: "Unavailable", Detail: detail, RetryAfter: 2 * time.Second, Cause: cause}
}

// asProblem maps every error to what may be told of it; what is not known here is
// an internal error, and its text stays in the log.
func asProblem(err error) *problem {
	if p, ok := errors.AsType[*problem](err); ok {
		return p
	}
	if tooBig, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return &problem{Status: http.StatusRequestEntityTooLarge, Title: "Body too large",
			Detail: fmt.Sprintf("the body may have at most %d bytes", tooBig.Limit)}
	}
	switch {
	case errors.Is(err, session.ErrNotFound), errors.Is(err, session.ErrCorrupt):
		return asProblem(unauthorized("sign in, or ask for a guest session where the server allows it"))
	case errors.Is(err, session.ErrInvalid):
		return badRequestOf(err)
	case errors.Is(err, session.ErrUnavailable), errors.Is(err, feed.ErrUnavailable), errors.Is(err, cache.ErrUnavailable),
		errors.Is(err, cache.ErrClosed), errors.Is(err, context.DeadlineExceeded):
		return asProblem(unavailable(lostRedis(err)+"; try again", err))
	}
	return &problem{Status: http.StatusInternalServerError, Title: "Internal error", Cause: err}
}

// lostRedis says what is wrong with Redis.
func lostRedis(err error) string {
	if errors.Is(err, session.ErrFull) || errors.Is(err, feed.ErrFull) {
		return "Redis is full and refuses to write"
	}
	return "Redis can not be reached"
}

// A problemBody is a problem as it is told.
type problemBody struct {
	Type     string `json:"type"`
	Title    string `json:"title"`
	Status   int    `json:"status"`
	Detail   string `json:"detail,omitempty"`
	Instance string `json:"instance,omitempty"`
}

// writeProblem answers with err and logs what the client is not told.
func writeProblem(w http.ResponseWriter, r *http.Request, log *slog.Logger, err error) {
	if errors.Is(err, errHandled) {
		return
	}
	p := asProblem(err)
	if p.Status >= 500 && p.Status != http.StatusNotImplemented {
		log.Error("request failed", "request", requestID(r), "path", r.URL.Path, "status", p.Status, "err", err)
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
	body := problemBody{"about:blank", p.Title, p.Status, p.Detail, "urn:request:" + requestID(r)}
	_ = json.NewEncoder(w).Encode(body) // the client may have gone
}

func writeJSON(w http.ResponseWriter, status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // the client may have gone
	return nil
}
