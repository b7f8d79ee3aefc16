package webtest

import (
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"
	"testing"
)

// Bearer returns the header that a token is sent with.
func Bearer(token string) http.Header { return http.Header{"Authorization": {"Bearer " + token}} }

// An HTTPClient is an HTTP client with cookies of its own.
type HTTPClient struct {
	t    testing.TB
	base string
	HTTP *http.Client
}

// NewHTTPClient returns a client of a listener of a node.
func NewHTTPClient(t testing.TB, s *httptest.Server) *HTTPClient {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DialContext: (&net.Dialer{}).DialContext}
	t.Cleanup(tr.CloseIdleConnections)
	return &HTTPClient{t, s.URL, &http.Client{Transport: tr, Jar: jar, Timeout: Patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// An Answer is a whole response.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}

// Do sends a request, without a body if that is empty.
func (b *HTTPClient) Do(method, path, body string, header http.Header) Answer {
	b.t.Helper()
	var in io.Reader
	if body != "" {
		in = strings.NewReader(body)
	}
	r, err := http.NewRequestWithContext(b.t.Context(), method, b.base+path, in)
	if err != nil {
		b.t.Fatal(err)
	}
	for k, v := range header {
		r.Header[k] = v
	}
	r.Host = header.Get("Host") // "": that of the URL
	resp, err := b.HTTP.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return Answer{resp.StatusCode, resp.Header, string(text)}
}

// Into decodes a body that must be JSON with this status.
func (a Answer) Into(t testing.TB, status int, v any) {
	t.Helper()
	if a.Status != status || a.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("%d %s %s, want %d and JSON", a.Status, a.Header.Get("Content-Type"), a.Body, status)
	}
	if err := json.Unmarshal([]byte(a.Body), v); err != nil {
		t.Fatalf("%s: %v", a.Body, err)
	}
}

// A Problem is an RFC 9457 answer.
type Problem struct {
	Type, Title, Detail, Instance string
	Status                        int
}

// Problem wants an error answer, which is always problem+json.
func (a Answer) Problem(t testing.TB, status int) Problem {
	t.Helper()
	var p Problem
	if a.Status != status || a.Header.Get("Content-Type") != "application/problem+json" {
		t.Fatalf("%d %s %s, want %d and problem+json", a.Status, a.Header.Get("Content-Type"), a.Body, status)
	}
	if err := json.Unmarshal([]byte(a.Body), &p); err != nil || p.Status != status || p.Title == "" || p.Type == "" {
		t.Fatalf("%s: %v, want a problem with type, title and status %d", a.Body, err, status)
	}
	return p
}

// An Operator is an HTTP client with the admin token.
type Operator struct{ *HTTPClient }

// Operator returns a client of the admin listener.
func (n *Node) Operator() Operator { return Operator{NewHTTPClient(n.T, n.Admin)} }

// Ask sends a request with the token.
func (o Operator) Ask(method, path, body string) Answer {
	o.t.Helper()
	return o.Do(method, path, body, Bearer(AdminToken))
}

// Get decodes the JSON at a path.
func (o Operator) Get(path string, into any) {
	o.t.Helper()
	o.Ask("GET", path, "").Into(o.t, 200, into)
}

// A SessionAnswer is what the endpoints of sessions answer.
type SessionAnswer struct {
	ID      string `json:"session_id"`
	UserID  string `json:"user_id"`
	Role    string
	Expires string `json:"expires_at"`
	Token   string
}
