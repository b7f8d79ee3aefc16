package live

import (
	"bufio"
	"errors"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/fxcast/fxcast/protocol"
)

// This file and coder/websocket (v1.8.15) share one TCP connection.
//
// The library does the handshake, reads, and writes its own control frames: a pong for a ping, a
// close frame for a close or a protocol error, and the one that Conn.Close sends. The hub writes
// everything else, already framed. Both write through one socket. The socket relies on these
// properties of the library, which TestSocketAssumptions checks:
//
//   - Accept keeps exactly the net.Conn and the bufio pair that Hijack returns. Of bytes that
//     arrived early it reads only those that the bufio.Reader has buffered.
//   - It flushes each of its frames with one Write, if the bufio.Writer holds a whole control
//     frame (131 bytes or more).
//   - It never writes data frames, since nothing calls its Write or Writer.
//   - It closes the connection by calling our Close, but only once its reader is free. So Close
//     must wake a blocked Read.
//   - When Read fails before the first byte of a frame, its Reader returns that error without a
//     change of state, so it can be called again. It calls the handlers of pings and pongs before
//     it reads the next frame.
//   - Except for our reader, only its Close reads, after it has sent the close frame.
const (
	readBuffer  = 128 // commands are small and rare; idle connections are many
	writeBuffer = 144 // holds any control frame
	// sendBuffer bounds the bytes that the kernel buffers for a client that does not read. With a
	// larger buffer the client would receive older prices.
	sendBuffer = 32 << 10
	// unsentLow makes the kernel refuse data while this many bytes are unsent. So conflation, not
	// the kernel's queue, decides which prices a slow client receives.
	unsentLow = 4 << 10
	// controlWaiting bounds the bytes of control frames that wait behind a full connection.
	controlWaiting = 1 << 10
	// messageFrames bounds the bytes of the frames of one message. An empty fragment counts too.
	messageFrames = 2 * protocol.MaxMessageBytes
	closingTime   = 5 * time.Second // from our close frame to the peer's
	// closingInput bounds the bytes that are read within closingTime. A message far too big fits, so
	// that its client reads the close code. littleInput is the bound for all other reasons.
	closingInput = 1 << 20
	littleInput  = 2 * protocol.MaxMessageBytes
	floodDelay   = 10 * time.Millisecond // before each read from a peer that is closed for its flood
	lingerTime   = 2 * time.Second       // for a waiting close frame to be sent
	piece        = 8 << 10               // bytes of one blocking write, so that progress is visible
)

var (
	errSocketClosed = errors.New("web: socket closed")
	errIdle         = errors.New("web: nothing to read")
)

// A socketOwner is the client that contains a socket.
type socketOwner interface {
	flooded()       // the other side sends more than it may within one message
	spawn(f func()) // starts a goroutine that the server waits for
	ready()         // reports that the hub may write again, or that its next write fails: the connection is lost
	wake()          // starts to read after park; it does not wait
}

// A socket is the only writer of a connection. send never blocks: it tries one write and leaves
// the rest to a goroutine, which exists only while bytes wait. A socket is part of its owner and
// must not be copied after begin.
type socket struct {
	net.Conn
	owner       socketOwner
	nonblocking nonblockingConn // unusable if this is not plain TCP (but TLS); then writes may block
	reader      *bufio.Reader   // of the library; it calls Read

	mu       sync.Mutex // guards the following fields; held only over writes that do not block
	flushing bool       // a goroutine writes the waiting bytes
	closed   bool       // a close frame was accepted, or the connection is lost: no more data
	shut     bool       // close the connection when no more bytes wait
	notify   bool       // the hub waits for ready
	message  bool       // the reader is within a message
	arrived  int        // bytes of that message that have arrived, with frames and control frames
	slow     bool       // each Read waits for floodDelay
	late     int32      // bytes that have arrived since closed
	between  bool       // the next Read starts a frame, so it may fail with errIdle
	poller   *poller    // will wake the owner; nil if the socket is not parked
	waiting  *waiting   // nil if no bytes wait, as nearly always
}

// waiting holds the bytes that could not be written yet.
type waiting struct {
	rest  []byte
	moved time.Time // when rest last began to wait or became shorter
}

// A tcpConn is a net.TCPConn, or a connection of a listener that counts, which embeds one.
type tcpConn interface {
	syscall.Conn
	SetWriteBuffer(bytes int) error
}

// begin attaches the zero socket to a connection.
func (s *socket) begin(c net.Conn, owner socketOwner) {
	s.Conn, s.owner = c, owner
	if wrapped, ok := c.(interface{ NetConn() net.Conn }); ok { // TLS
		if tcp, ok := wrapped.NetConn().(tcpConn); ok {
			_ = tcp.SetWriteBuffer(sendBuffer)
		}
	}
	if tcp, ok := c.(tcpConn); ok {
		// If these fail, the kernel's defaults remain: correct, but slower to detect a slow client.
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
		// The library goes on reading until the peer's close frame. If the peer has begun a message
		// or frame, the library sets no time limit.
		_ = s.Conn.SetReadDeadline(time.Now().Add(closingTime))
	}
	return len(frame), nil
}

// send writes whole frames. It keeps the bytes that cannot be written now, and then returns sent
// false. After the last frame, which is a close frame, it accepts no more.
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

// flush writes the rest of a plain connection whenever the kernel has room.
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
			s.flushing, s.waiting = false, nil // under the lock: the next send writes directly again
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
	notify := s.notify
	s.notify = false
	s.mu.Unlock()
	if shut || err != nil {
		_ = s.disconnect()
	}
	if notify {
		s.owner.ready()
	}
}

// offer is send for the hub. If some bytes have to wait, it arranges that ready is called when
// they are written, or when the connection is lost and the next offer fails.
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
	return !s.flushing, nil // all bytes may have been written in the meantime
}

// backlog returns the number of waiting bytes, and the time since it last became smaller.
func (s *socket) backlog() (int, time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.flushing {
		return 0, 0
	}
	return len(s.waiting.rest), time.Since(s.waiting.moved)
}

// crowded reports whether the socket can queue no further control frame: too many bytes wait, or
// the close frame, which is the last, has been sent. The library must not try, since it takes a
// failed write for the end and would not wait for the peer's close frame.
func (s *socket) crowded() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed || s.flushing && len(s.waiting.rest) > controlWaiting
}

// abort closes the connection at once. Code that closes the connection marks it closed first: a
// write must not reach a descriptor that was closed and reused for another connection.
func (s *socket) abort() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	return s.disconnect()
}

// disconnect closes the connection of a socket that is marked closed. It wakes a parked owner,
// since a descriptor that is closed leaves the poller without an event.
func (s *socket) disconnect() error {
	s.unpark()
	return s.Conn.Close()
}

// park makes the owner's wake be called, once: when there are bytes to read, when the peer has
// closed the connection, or when this side is closing it. The socket must be plain TCP.
func (s *socket) park(p *poller) {
	s.mu.Lock()
	var err error
	parked := !s.closed
	if parked {
		s.poller, err = p, p.watch(s)
	}
	s.mu.Unlock()
	switch {
	case !parked:
		s.owner.wake()
	case err != nil: // the kernel has no room for it
		s.owner.spawn(func() {
			s.nonblocking.awaitRead()
			s.unpark()
		})
	}
}

// unpark wakes the owner if the socket is parked.
func (s *socket) unpark() {
	s.mu.Lock()
	p := s.poller
	s.poller = nil
	s.mu.Unlock()
	if p != nil {
		p.forget(s)
		s.owner.wake()
	}
}

// Close is called by coder/websocket when the connection is over. If a close frame still waits, it
// gets lingerTime to be sent first.
func (s *socket) Close() error {
	s.mu.Lock()
	s.closed = true
	linger := s.flushing && !s.shut
	s.shut = s.shut || s.flushing
	s.mu.Unlock()
	if !linger {
		return s.disconnect()
	}
	now := time.Now()
	defer s.unpark() // the deadline ends a Read only
	return errors.Join(s.Conn.SetWriteDeadline(now.Add(lingerTime)), s.Conn.SetReadDeadline(now))
}
