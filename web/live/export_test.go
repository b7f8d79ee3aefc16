package live

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/sys/unix"

	"github.com/fxcast/fxcast/protocol"
)

// Bounds that the tests wait for.
const (
	LingerTime      = lingerTime
	RefusedDelay    = refusedDelay
	MessageTime     = messageTime
	MaxMessageBytes = protocol.MaxMessageBytes
)

// SetResumeStep sets how long a resume waits for a symbol in its first round. It returns the way back.
func SetResumeStep(d time.Duration) (restore func()) {
	before := resumeStep
	resumeStep = d
	return func() { resumeStep = before }
}

// Frames is the framing of the tests.
type Frames = frames

// An Upgraded is a connection as serveWebSocket upgrades it, without a hub.
type Upgraded struct {
	WS      *websocket.Conn
	socket  socket
	start   func(func())
	onReady func()
	parks   atomic.Int64 // how often Next found nothing to read
	floods  int
	woken   chan struct{}
	poller  *poller
}

// parking waits for the connections that Next has parked.
var parking poller

// Unwatched makes Next park without a poller, as when the kernel has no room in one.
func (u *Upgraded) Unwatched() {
	u.poller = new(poller)
	u.poller.close()
}

// controlled does for Next what wsConn.alive does after a control frame.
func (u *Upgraded) controlled() {
	if u.parks.Load() > 0 {
		u.socket.betweenFrames()
	}
}

// Next reads a message as work does, and counts how often it parked from 1.
func (u *Upgraded) Next() ([]byte, error) {
	u.parks.CompareAndSwap(0, 1)
	for {
		_, message, err := u.socket.next(u.WS)
		switch {
		case err == nil:
			return message.Bytes(), nil
		case !errors.Is(err, errIdle):
			return nil, err
		}
		u.parks.Add(1)
		u.socket.park(u.poller)
		<-u.woken
	}
}

// Parks returns how often Next found nothing to read, plus 1.
func (u *Upgraded) Parks() int64 { return u.parks.Load() }

// Unread returns the number of bytes that the kernel holds and that were not read yet.
func (u *Upgraded) Unread() (n int, err error) {
	err = errors.Join(u.socket.nonblocking.conn.Control(func(fd uintptr) { n, err = unix.IoctlGetInt(int(fd), unix.SIOCINQ) }), err)
	return n, err
}

func (u *Upgraded) spawn(f func()) { u.start(f) }

func (u *Upgraded) ready() { u.onReady() }

// ExpectLittle bounds what is read after a close for any reason but a message that is too big.
func (u *Upgraded) ExpectLittle() { u.socket.expectLittle() }

func (u *Upgraded) flooded() { u.floods++ }

// Flood does what a reader does after a ping too many, and returns how many floods the owner knows of.
func (u *Upgraded) Flood() int {
	u.socket.flood()
	return u.floods
}

func (u *Upgraded) wake() { u.woken <- struct{}{} }

// Upgrade shares a request's connection with the library as serveWebSocket does. wrap, if not nil,
// returns the writer that the library gets instead of the upgrader.
func Upgrade(w http.ResponseWriter, r *http.Request, spawn func(func()), wrap func(http.ResponseWriter) http.ResponseWriter) (*Upgraded, error) {
	u := &Upgraded{start: spawn, onReady: func() {}, woken: make(chan struct{}, 1), poller: &parking}
	up := &upgrader{ResponseWriter: w, socket: &u.socket, owner: u}
	var rw http.ResponseWriter = up
	if wrap != nil {
		rw = wrap(up)
	}
	var err error
	u.WS, err = websocket.Accept(rw, r, &websocket.AcceptOptions{
		OnPingReceived: func(context.Context, []byte) bool { u.controlled(); return !u.socket.crowded() },
		OnPongReceived: func(context.Context, []byte) { u.controlled() },
	})
	if err != nil {
		return nil, err
	}
	return u, nil
}

// OnReady sets the function that the socket calls after an incomplete offer.
func (u *Upgraded) OnReady(f func()) { u.onReady = f }

// Offer writes as the hub does.
func (u *Upgraded) Offer(frames []byte) (ready bool, err error) { return u.socket.offer(frames) }

// Stalled returns the socket's backlog, as for the hub.
func (u *Upgraded) Stalled() time.Duration {
	_, stalled := u.socket.backlog()
	return stalled
}
