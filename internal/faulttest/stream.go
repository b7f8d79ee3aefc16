package faulttest

import (
	"bufio"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/fxcast/fxcast/protocol"
)

// streams reads one stream after the other, until ctx ends or the session has.
func (c *Client) streams(ctx context.Context) {
	for {
		code, after := c.stream(ctx)
		if ctx.Err() != nil {
			return
		}
		c.add(Event{At: time.Now(), Kind: Closed, Code: code})
		if protocol.ReconnectAfter(code) == protocol.ReconnectNo {
			return
		}
		if after <= 0 {
			after = 50*time.Millisecond + rand.N(200*time.Millisecond)
		}
		wait(ctx, after)
	}
}

// stream is one connection of a client of Server-Sent Events, from its beginning to its end. It
// resumes with the last event's id, as browsers do.
func (c *Client) stream(ctx context.Context) (code int, after time.Duration) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	silence := time.AfterFunc(c.cfg.Silence, cancel)
	defer silence.Stop()
	query := url.Values{"symbols": {strings.Join(c.cfg.Symbols, ",")}, "mode": {c.cfg.Mode}}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.cfg.Address()+"/api/v1/stream?"+query.Encode(), nil)
	if err != nil {
		return 0, 0
	}
	r.Header.Set("Authorization", "Bearer "+c.cfg.Token)
	if c.lastID != "" {
		r.Header.Set("Last-Event-ID", c.lastID)
	}
	resp, err := c.cfg.Transport.RoundTrip(r)
	if err != nil {
		return 0, 0
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusUnauthorized:
		return protocol.CodeSession, 0
	default:
		_, _ = io.Copy(io.Discard, resp.Body) // the content does not matter
		return 0, 0
	}
	var id, data string
	for lines := bufio.NewScanner(resp.Body); ; {
		if !lines.Scan() {
			return code, after
		}
		silence.Reset(c.cfg.Silence)
		name, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch name {
		case "id":
			id = value
		case "data":
			data = value
		case "": // the end of an event, or a comment
			if data == "" {
				continue
			}
			if id != "" {
				c.lastID = id
			}
			message, err := protocol.Decode([]byte(data))
			switch {
			case err == nil:
				c.take(message)
			case !errors.Is(err, protocol.ErrUnknownType):
				return unreadable, 0
			}
			if closing, ok := message.(protocol.Closing); ok {
				code, after = closing.Code, time.Duration(closing.ReconnectAfterMS)*time.Millisecond
			}
			id, data = "", ""
		}
	}
}
