package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/coder/websocket"

	"github.com/fxcast/fxcast/protocol"
)

// An outcome is how a connect or a connection ended.
type outcome struct {
	refused *RefusedError // for good
	advice  time.Duration // before the next connect; 0 if there is none
	err     error
}

// run connects until the client is closed or refused. It is the only goroutine that connects and
// reads, so there are never two connections.
func (c *Client) run() {
	defer close(c.done)
	p := &pacer{clock: c.clock}
	badTickets := 0 // in a row
	for {
		c.setState(Connecting)
		p.begin()
		out := c.connect(p, &badTickets)
		switch {
		case c.ctx.Err() != nil:
			c.finish(ErrClosed)
			return
		case out.refused != nil:
			c.reportError(out.refused)
			c.finish(out.refused)
			return
		}
		c.mu.Lock()
		c.lastFail = out.err
		c.mu.Unlock()
		c.reportError(out.err)
		c.setState(Waiting)
		c.clock.sleep(c.ctx, p.wait(out.advice))
		if c.ctx.Err() != nil {
			c.finish(ErrClosed)
			return
		}
	}
}

// connect makes one connect and serves its connection to the end.
func (c *Client) connect(p *pacer, badTickets *int) outcome {
	ctx, cancel := context.WithTimeout(c.ctx, c.clock.scaled(connectTime))
	defer cancel()
	target, header := *c.url, c.opts.Header.Clone()
	if header == nil {
		header = http.Header{}
	}
	if c.opts.Token != "" {
		header.Set("Authorization", "Bearer "+c.opts.Token)
	}
	if c.opts.Ticket != nil {
		ticket, err := c.opts.Ticket(ctx)
		if err == nil && ticket == "" {
			err = errors.New("it is empty")
		}
		if err != nil {
			return refusal(fmt.Errorf("client: ticket: %w", err))
		}
		query := target.Query()
		query.Set("ticket", ticket)
		target.RawQuery = query.Encode()
	}
	ws, resp, err := websocket.Dial(ctx, target.String(), &websocket.DialOptions{
		HTTPClient: c.opts.HTTPClient, HTTPHeader: header, Subprotocols: []string{protocol.NameBinary, protocol.Name}, CompressionMode: websocket.CompressionContextTakeover,
	})
	if err != nil {
		if resp == nil || resp.StatusCode == http.StatusSwitchingProtocols {
			if failed, ok := errors.AsType[*url.Error](err); ok {
				err = failed.Err // without the address, which may have a ticket
			}
			return outcome{err: fmt.Errorf("client: connect: %w", err)}
		}
		status := NewStatusError(resp)
		if c.opts.Ticket != nil && status.Status == http.StatusUnauthorized {
			if *badTickets++; *badTickets < 2 { // it may only have been too old
				return outcome{err: status}
			}
		}
		return refusal(status)
	}
	*badTickets = 0
	return c.serve(ctx, ws, p)
}

// refusal returns the outcome of a connect that was answered with an error.
func refusal(err error) outcome {
	status, ok := errors.AsType[*StatusError](err)
	switch {
	case !ok:
		return outcome{err: err}
	case status.Status == http.StatusUnauthorized, status.Status == http.StatusForbidden:
		return outcome{refused: &RefusedError{Code: status.Status, Reason: http.StatusText(status.Status)}}
	}
	return outcome{err: err, advice: status.RetryAfter}
}
