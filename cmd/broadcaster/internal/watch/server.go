package watch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/cli"
)

// guestTime bounds the request for a guest session.
const guestTime = 10 * time.Second

// A server is the address of a server's page.
type server struct{ *url.URL }

// parseServer reads the address of a server. It may be that of the page or of the WebSocket.
func parseServer(text string) (server, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return server{}, errors.New(`want an address such as "https://quotes.example"`)
	}
	switch u.Scheme {
	case "http", "https":
	case "ws":
		u.Scheme = "http"
	case "wss":
		u.Scheme = "https"
	default:
		return server{}, fmt.Errorf("want http or https, got %.20q", u.Scheme)
	}
	u.Path = strings.TrimSuffix(strings.TrimSuffix(u.Path, "ws"), "/")
	u.RawQuery, u.Fragment = "", ""
	return server{u}, nil
}

func (s server) socket() string { return s.JoinPath("ws").String() }

// guest asks for a guest session, and returns the header that uses it.
func (s server) guest(ctx context.Context) (http.Header, error) {
	ctx, cancel := context.WithTimeout(ctx, guestTime)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.JoinPath("api/v1/session/guest").String(), nil)
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		if failed, ok := errors.AsType[*url.Error](err); ok {
			err = failed.Err // without the address, which the message has
		}
		return nil, fmt.Errorf("%s: %w", s, err)
	}
	defer answer.Body.Close()
	set := answer.Cookies()
	switch {
	case answer.StatusCode/100 != 2:
		return nil, fmt.Errorf("%s gives no guest session: %s; want --token-file", s, problem(answer))
	case len(set) == 0:
		return nil, fmt.Errorf("%s gives no guest session: its answer has no cookie; want --token-file", s)
	}
	return cookies(set), nil
}

// problem describes an answer that is an error.
func problem(answer *http.Response) string {
	var body struct{ Title, Detail string }
	if text, err := io.ReadAll(io.LimitReader(answer.Body, 4<<10)); err == nil && json.Unmarshal(text, &body) == nil && body.Detail != "" {
		return answer.Status + ": " + cli.Printable(body.Detail)
	}
	return answer.Status
}
