package conformance

import (
	"encoding/binary"
	"net"
	"sync"
)

// opClose is the opcode of a close frame.
const opClose = 8

// A line is a TCP connection of a client. Once frozen it discards what arrives and sends nothing,
// but still notices the client's close frame and the end of the connection.
type line struct {
	net.Conn

	mu        sync.Mutex // guards what follows
	frozen    bool
	closeSent func() // called with the client's close frame while frozen
}

// freeze freezes the line.
func (l *line) freeze(closeSent func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.frozen, l.closeSent = true, closeSent
}

func (l *line) isFrozen() (frozen bool, closeSent func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.frozen, l.closeSent
}

// Read implements net.Conn.
func (l *line) Read(p []byte) (int, error) {
	n, err := l.Conn.Read(p)
	frozen, closeSent := l.isFrozen()
	if !frozen || err != nil {
		return n, err
	}
	for pending := append([]byte(nil), p[:n]...); ; {
		var op byte
		if op, pending = cutFrame(pending); op == opClose {
			closeSent()
		} else if op != 0 {
			continue
		}
		if n, err = l.Conn.Read(p); err != nil {
			return 0, err
		}
		pending = append(pending, p[:n]...)
	}
}

// Write implements net.Conn.
func (l *line) Write(p []byte) (int, error) {
	if frozen, _ := l.isFrozen(); frozen {
		return len(p), nil
	}
	return l.Conn.Write(p)
}

// cutFrame removes the first frame of a client. It returns 0 if the frame is incomplete.
func cutFrame(p []byte) (op byte, rest []byte) {
	if len(p) < 2 {
		return 0, p
	}
	size, head := int(p[1]&0x7f), 2
	switch {
	case size == 126 && len(p) >= 4:
		size, head = int(binary.BigEndian.Uint16(p[2:])), 4
	case size == 127 && len(p) >= 10:
		size, head = int(binary.BigEndian.Uint64(p[2:])), 10
	case size >= 126:
		return 0, p
	}
	size += head + 4 // the mask
	if size < 0 || len(p) < size {
		return 0, p
	}
	return p[0] & 0x0f, p[size:]
}

// listener hands out lines.
type listener struct{ net.Listener }

// Accept implements net.Listener.
func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &line{Conn: c}, nil
}
