package web

import (
	"context"
	"net/http"
	"time"

	"github.com/coder/websocket"
)

// Bounds the tests wait for.
const (
	LingerTime      = lingerTime
	MessageTime     = messageTime
	MaxMessageBytes = maxMessageBytes
)

// An Upgraded connection is what serveWS makes of a request, without a hub.
type Upgraded struct {
	WS      *websocket.Conn
	socket  socket
	start   func(func())
	onReady func()
}

func (u *Upgraded) spawn(f func()) { u.start(f) }

func (u *Upgraded) ready() { u.onReady() }

// Upgrade shares a request's connection with the library as serveWS does. wrap,
// if not nil, stands between the library and the upgrader.
func Upgrade(w http.ResponseWriter, r *http.Request, spawn func(func()), wrap func(http.ResponseWriter) http.ResponseWriter) (*Upgraded, error) {
	u := &Upgraded{start: spawn, onReady: func() {}}
	up := &upgrader{ResponseWriter: w, socket: &u.socket, owner: u}
	var rw http.ResponseWriter = up
	if wrap != nil {
		rw = wrap(up)
	}
	var err error
	u.WS, err = websocket.Accept(rw, r, &websocket.AcceptOptions{
		OnPingReceived: func(context.Context, []byte) bool { return !u.socket.crowded() },
	})
	if err != nil {
		return nil, err
	}
	return u, nil
}

// OnReady sets what offer promises to call.
func (u *Upgraded) OnReady(f func()) { u.onReady = f }

// Offer is what the hub writes with.
func (u *Upgraded) Offer(frames []byte) (ready bool, err error) { return u.socket.offer(frames) }

// Stalled is what the hub asks.
func (u *Upgraded) Stalled() time.Duration {
	_, stalled := u.socket.backlog()
	return stalled
}
