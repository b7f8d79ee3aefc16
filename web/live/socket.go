package live

import (
	"bufio"
	"errors"
	"net"
	"sync"
	"time"
)

// How one TCP connection is shared with coder/websocket (v1.8.15).
//
// The library does the handshake, reads, and writes control frames of its own: a
// pong to a ping, a close frame to a close or a protocol error, and what
// Conn.Close asks for. The hub writes everything else, already framed. Both go
// through one socket, which assumes of the library, and TestSocketAssumptions
// holds it to:
//
//   - Accept keeps exactly the net.Conn and the bufio pair that Hijack returns;
//     of what came early it re-reads only what the bufio.Reader has buffered.
//   - Each of its frames is flushed with one Write, if the bufio.Writer holds a
//     whole control frame (131 bytes or more).
//   - It never writes data frames, since nobody calls its Write or Writer.
//   - It closes the connection by calling our Close, and once only its reader is
//     free: Close must wake a blocked Read.
//   - When Read fails before the first byte of a frame, its Reader returns that
//     error and has changed nothing: it can be called again. It calls what was set
//     for pings and pongs before it reads the next frame.
//   - Beside our reader only its Close reads, after it has sent the close frame.
const (
	readBuffer  = 128 // commands are small and rare; idle connections are many
	writeBuffer = 144 // holds any control frame
	// sendBuffer bounds what the kernel takes for a client that does not read:
	// more would only make the prices it gets later older.
	sendBuffer = 32 << 10
	// unsentLow makes the kernel refuse data while this much is not even sent, so
	// that conflation, not the kernel's queue, decides what a slow client gets.
	unsentLow = 4 << 10
	// controlWaiting is how much of control frames may wait behind a full connection.
	controlWaiting = 1 << 10
	closingTime    = 5 * time.Second // from our close frame to the peer's
	lingerTime     = 2 * time.Second
	piece          = 8 << 10 // written at once where writes block, to see progress
)

var (
	errSocketClosed = errors.New("web: socket closed")
	errIdle         = errors.New("web: nothing to read")
)

// A socketOwner is the client that a socket is part of.
type socketOwner interface {
	spawn(f func()) // starts a goroutine that the server waits for
	ready()         // the hub may write again, after a write that could not be finished
}

// A socket is the only writer of a connection. send never blocks: it tries one
// write and leaves what the kernel does not take to a goroutine, which exists
// only as long as there is something to wait for. It is part of its owner and
// must not be copied once begun.
type socket struct {
	net.Conn
	owner       socketOwner
	nonblocking nonblockingConn // not usable: not a plain TCP connection, such as TLS; writes may block
	reader      *bufio.Reader   // the library's, which reads by Read

	mu       sync.Mutex // guards what follows; held only over writes that do not block
	flushing bool       // a goroutine is writing what waits
	closed   bool       // a close frame is on its way, or the socket is lost: no more data
	shut     bool       // to be closed when nothing waits any more
	notify   bool       // the hub waits for ready
	message  bool       // the reader is within a message
	between  bool       // Read may fail with errIdle: what it reads begins a frame
	waiting  *waiting   // nil: nothing, as nearly always
}

// What waits to be written.
type waiting struct {
	rest  []byte
	moved time.Time // when rest last began to wait or got shorter
}

// begin makes the zero socket that of a connection.
func (s *socket) begin(c net.Conn, owner socketOwner) {
	s.Conn, s.owner = c, owner
	if wrapped, ok := c.(interface{ NetConn() net.Conn }); ok { // TLS
		if tcp, ok := wrapped.NetConn().(*net.TCPConn); ok {
			_ = tcp.SetWriteBuffer(sendBuffer)
		}
	}
	if tcp, ok := c.(*net.TCPConn); ok {
		// Failures leave the kernel's defaults, which are correct, only slower to notice.
		_ = tcp.SetWriteBuffer(sendBuffer)
		s.nonblocking.begin(tcp, unsentLow)
	}
}

// Write is called by coder/websocket with one whole control frame.
func (s *socket) Write(frame []byte) (int, error) {
	last := frame[0]&0x0f == opcodeClose
	if _, err := s.send(frame, last); err != nil {
		return 0, err
	}
	if last {
		// The library reads on, for the peer's close frame, and where the peer
		// has begun a message or frame it does so without a time limit.
		_ = s.Conn.SetReadDeadline(time.Now().Add(closingTime))
	}
	return len(frame), nil
}

// send writes whole frames, or keeps what cannot be written now and returns sent false. After the last frame, a close frame, nothing is taken any more.
func (s *socket) send(frames []byte, last bool) (sent bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false, errSocketClosed
	}
	s.closed = last
	if s.flushing {
		s.waiting.rest = append(s.waiting.rest, frames...)
		return false, nil
	}
	n := 0
	if s.nonblocking.usable() {
		if n, err = s.nonblocking.write(frames); err != nil {
			s.closed = true
			return false, err
		}
	}
	if n == len(frames) {
		return true, nil
	}
	s.flushing, s.waiting = true, &waiting{append([]byte(nil), frames[n:]...), time.Now()}
	if s.nonblocking.usable() {
		s.owner.spawn(s.flush)
	} else {
		s.owner.spawn(s.flushBlocking)
	}
	return false, nil
}

// flush waits until a plain connection takes the rest.
func (s *socket) flush() {
	err := s.nonblocking.wait(func(write func([]byte) (int, error)) (done bool, err error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		w := s.waiting
		n, err := write(w.rest)
		if n > 0 {
			w.moved = time.Now()
			w.rest = w.rest[:copy(w.rest, w.rest[n:])]
		}
		done = len(w.rest) == 0
		if done {
			s.flushing, s.waiting = false, nil // while locked: the next send writes by itself again
		}
		return done, err
	})
	s.flushed(err)
}

// flushBlocking writes the rest of a connection whose writes block.
func (s *socket) flushBlocking() {
	var err error
	for err == nil {
		s.mu.Lock()
		w := s.waiting
		out := w.rest
		w.rest = nil
		w.moved = time.Now()
		if len(out) == 0 {
			s.flushing, s.waiting = false, nil
			s.mu.Unlock()
			break
		}
		s.mu.Unlock()
		for len(out) > 0 && err == nil {
			var n int
			n, err = s.Conn.Write(out[:min(len(out), piece)])
			out = out[n:]
			s.mu.Lock()
			w.moved = time.Now()
			s.mu.Unlock()
		}
	}
	s.flushed(err)
}

func (s *socket) flushed(err error) {
	s.mu.Lock()
	if err != nil {
		s.closed, s.flushing, s.waiting = true, false, nil
	}
	shut := s.shut && !s.flushing
	notify := s.notify && err == nil
	s.notify = false
	s.mu.Unlock()
	switch {
	case shut || err != nil:
		s.Conn.Close()
	case notify:
		s.owner.ready()
	}
}

// offer is send for the hub: where not everything could be written, ready is
// called when it is.
func (s *socket) offer(frames []byte) (sent bool, err error) {
	sent, err = s.send(frames, false)
	if sent || err != nil {
		return sent, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false, errSocketClosed
	}
	s.notify = s.flushing
	return !s.flushing, nil // it may all be out by now
}

// backlog is how many bytes wait, and for how long they have not got fewer.
func (s *socket) backlog() (int, time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.flushing {
		return 0, 0
	}
	return len(s.waiting.rest), time.Since(s.waiting.moved)
}

// crowded reports whether more control frames should not be queued: too many
// wait already, or the close frame, which is the last, has been sent. The library
// takes a failing write for the end, and would not wait for the peer's close frame.
func (s *socket) crowded() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed || s.flushing && len(s.waiting.rest) > controlWaiting
}

// abort closes at once. Whoever closes the connection marks it closed first: no
// write may hit a descriptor that was closed and given to another connection.
func (s *socket) abort() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	return s.Conn.Close()
}

// Close is called by coder/websocket when the connection is over. Where a close
// frame still waits for room, it is given a short time to go out first.
func (s *socket) Close() error {
	s.mu.Lock()
	s.closed = true
	linger := s.flushing && !s.shut
	s.shut = s.shut || s.flushing
	s.mu.Unlock()
	if !linger {
		return s.Conn.Close()
	}
	now := time.Now()
	return errors.Join(s.Conn.SetWriteDeadline(now.Add(lingerTime)), s.Conn.SetReadDeadline(now))
}
