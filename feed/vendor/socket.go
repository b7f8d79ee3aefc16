package vendor

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/coder/websocket"
)

const (
	dialTimeout  = 5 * time.Second // of TCP, and again of TLS
	writeTimeout = 5 * time.Second
	userAgent    = "fxcast"
)

// httpClient makes the requests to all vendors. It follows no redirect, since the key must not go
// to another host.
var httpClient = &http.Client{
	Transport: &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout:   dialTimeout,
		ResponseHeaderTimeout: 10 * time.Second,
		IdleConnTimeout:       time.Minute,
		ForceAttemptHTTP2:     true,
	},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// socket is a WebSocket to a vendor. One goroutine reads, and one writes at a time.
type socket struct {
	conn   *websocket.Conn
	target Target
}

// dial opens a WebSocket. maxMessage bounds the bytes of a message.
func dial(ctx context.Context, t Target, maxMessage int64) (socket, error) {
	conn, resp, err := websocket.Dial(ctx, t.URL, &websocket.DialOptions{
		HTTPClient: httpClient, HTTPHeader: http.Header{"User-Agent": {userAgent}},
	})
	if err != nil {
		if resp != nil && resp.StatusCode != http.StatusSwitchingProtocols {
			return socket{}, statusError(resp, t)
		}
		return socket{}, netError(err)
	}
	conn.SetReadLimit(maxMessage)
	return socket{conn, t}, nil
}

// read waits for the next message.
func (s socket) read(ctx context.Context) ([]byte, error) {
	_, data, err := s.conn.Read(ctx)
	return data, err
}

// write sends a message.
func (s socket) write(ctx context.Context, message any) error {
	data, err := json.Marshal(message)
	if err != nil {
		return fmt.Errorf("encode a message: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	return s.conn.Write(ctx, websocket.MessageText, data)
}

// Close implements Stream.
func (s socket) Close() { _ = s.conn.CloseNow() }
