package faulttest

import (
	"bufio"
	"context"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/fxcast/fxcast/protocol"
)

// stream is one connection of a client of Server-Sent Events, from its beginning to its end. It
// resumes with the last event's id, as browsers do.
func (c *Client) stream(ctx context.Context) (code int, after time.Duration) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	silence := time.AfterFunc(c.cfg.Silence, cancel)
	defer silence.Stop()
	query := url.Values{"symbols": {strings.Join(c.cfg.Symbols, ",")}, "mode": {c.cfg.Mode}}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.cfg.Address()+"?"+query.Encode(), nil)
	if err != nil {
		return 0, 0
	}
	maps.Copy(r.Header, c.cfg.Header)
	if c.lastID != "" {
		r.Header.Set("Last-Event-ID", c.lastID)
	}
	resp, err := c.cfg.HTTP.Do(r)
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
	c.add(Event{At: time.Now(), Kind: Connected})
	var event, id, data string
	for lines := bufio.NewScanner(resp.Body); ; {
		if !lines.Scan() {
			return code, after
		}
		silence.Reset(c.cfg.Silence)
		name, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch name {
		case "event":
			event = value
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
			if event == protocol.TypeClosing {
				message, _ := protocol.Decode([]byte(data)) // take reports a bad message
				closing, _ := message.(protocol.Closing)
				code = closing.Code
			}
			frames := []Frame{{Text: []byte(data)}}
			if c.cfg.Tamper != nil {
				frames = c.cfg.Tamper(frames[0])
			}
			for _, f := range frames {
				if d := c.take(f.Text); d > 0 {
					after = d
				}
			}
			event, id, data = "", "", ""
		}
	}
}
