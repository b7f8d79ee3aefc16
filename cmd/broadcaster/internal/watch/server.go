package watch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"time"

	"github.com/fxcast/fxcast/client"
	"github.com/fxcast/fxcast/cmd/broadcaster/internal/cli"
)

const (
	guestTime = 10 * time.Second // for a request of a guest
	maxAnswer = 64 << 10         // bytes of its answer
)

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

// A guest signs in as a guest. It keeps its session while the server has it.
type guest struct {
	server
	http *http.Client // with the session's cookie
}

func (s server) guest() guest {
	jar, _ := cookiejar.New(nil) // never fails without options
	return guest{s, &http.Client{Jar: jar, Timeout: guestTime}}
}

// signIn asks for a guest session, or for the present one. Its errors are for the terminal.
func (g guest) signIn(ctx context.Context) error {
	answer, err := g.post(ctx, "api/v1/session/guest")
	if err != nil {
		return fmt.Errorf("%s: %w", g.server, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode/100 != 2 {
		return fmt.Errorf("%s gives no guest session: %s; want --token-file", g.server, problem(answer))
	}
	return nil
}

// ticket returns a ticket for one connect, of a new session if the server has lost the last one.
func (g guest) ticket(ctx context.Context) (string, error) {
	for _, path := range []string{"api/v1/session/guest", "api/v1/ws-ticket"} {
		answer, err := g.post(ctx, path)
		if err != nil {
			return "", err
		}
		defer answer.Body.Close()
		if answer.StatusCode/100 != 2 {
			return "", client.NewStatusError(answer)
		}
		var body struct{ Ticket string }
		if err := json.NewDecoder(io.LimitReader(answer.Body, maxAnswer)).Decode(&body); err != nil {
			return "", err
		}
		if body.Ticket != "" {
			return body.Ticket, nil
		}
	}
	return "", errors.New("the server's answer has no ticket")
}

func (g guest) post(ctx context.Context, path string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, g.JoinPath(path).String(), nil)
	if err != nil {
		return nil, err
	}
	answer, err := g.http.Do(r)
	if failed, ok := errors.AsType[*url.Error](err); ok {
		err = failed.Err // without the address, which the message has
	}
	return answer, err
}

// problem describes an answer that is an error.
func problem(answer *http.Response) string {
	var body struct{ Title, Detail string }
	if text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer)); err == nil && json.Unmarshal(text, &body) == nil && body.Detail != "" {
		return answer.Status + ": " + cli.Printable(body.Detail)
	}
	return answer.Status
}
