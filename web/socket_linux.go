package web

import (
	"net"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A plainWriter writes to a TCP socket without ever waiting. It uses the file
// descriptor, which net keeps in non-blocking mode, through RawConn: Conn.Write
// would hold the descriptor's write lock while it waits for a slow peer.
type plainWriter struct {
	conn syscall.RawConn
	// Arguments and results of attempt, kept here so that the closure is made
	// once; guarded by the socket's mutex.
	out []byte
	n   int
	err error

	attempt func(fd uintptr)
}

func newPlainWriter(c *net.TCPConn, unsentLow int) *plainWriter {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil
	}
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, unsentLow)
	})
	w := &plainWriter{conn: raw}
	w.attempt = func(fd uintptr) { w.n, w.err = writeNow(fd, w.out) }
	return w
}

// write writes what the kernel takes now; a full buffer is not an error.
func (w *plainWriter) write(b []byte) (int, error) {
	w.out = b
	// Control, not RawConn.Write: it takes no lock that a waiting writer holds.
	err := w.conn.Control(w.attempt)
	w.out = nil
	if err != nil {
		return 0, err
	}
	return w.n, w.err
}

// wait calls f now and whenever the kernel has room, until f is done or fails,
// or the write deadline passes. f writes with the function it is given.
func (w *plainWriter) wait(f func(write func([]byte) (int, error)) (done bool, err error)) error {
	var failed error
	err := w.conn.Write(func(fd uintptr) bool {
		var done bool
		done, failed = f(func(b []byte) (int, error) { return writeNow(fd, b) })
		return done || failed != nil
	})
	if failed != nil {
		return failed
	}
	return err
}

// writeNow is one write(2). The socket never blocks, so the scheduler need not
// hear of the call: with many clients that costs as much as the call itself.
func writeNow(fd uintptr, b []byte) (int, error) {
	for len(b) > 0 {
		n, _, errno := syscall.RawSyscall(syscall.SYS_WRITE, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
		switch errno {
		case 0:
			return int(n), nil
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			return 0, nil
		default:
			return 0, errno
		}
	}
	return 0, nil
}
