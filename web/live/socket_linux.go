package live

import (
	"io"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A nonblockingConn reads and writes a TCP socket without waiting. Conn.Write would hold the
// descriptor's write lock while it waits for a slow peer. So this type uses the descriptor, which
// net keeps in non-blocking mode, directly. That is safe because the socket uses it only under its
// lock and while it is not closed. The descriptor is closed only after the socket was marked as
// closed under that lock.
type nonblockingConn struct {
	fd   uintptr
	conn syscall.RawConn
}

// begin makes w usable, unless the connection has no descriptor.
func (w *nonblockingConn) begin(c syscall.Conn, unsentLow int) {
	raw, err := c.SyscallConn()
	if err != nil {
		return
	}
	err = raw.Control(func(fd uintptr) {
		w.fd = fd
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, unsentLow)
	})
	if err == nil {
		w.conn = raw
	}
}

func (w *nonblockingConn) usable() bool { return w.conn != nil }

// write writes as many bytes as the kernel accepts now. A full buffer is not an error.
func (w *nonblockingConn) write(b []byte) (int, error) { return writeNow(w.fd, b) }

// wait calls f now and whenever the kernel has room, until f is done or fails, or the write
// deadline passes. f writes with the given function.
func (w *nonblockingConn) wait(f func(write func([]byte) (int, error)) (done bool, err error)) error {
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

// read reads the bytes that have arrived, or fails with errIdle if there are none.
func (w *nonblockingConn) read(b []byte) (int, error) {
	for {
		n, _, errno := syscall.RawSyscall(syscall.SYS_READ, w.fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
		switch {
		case errno == syscall.EINTR:
			continue
		case errno == syscall.EAGAIN:
			return 0, errIdle
		case errno != 0:
			return 0, errno
		case n == 0:
			return 0, io.EOF
		}
		return int(n), nil
	}
}

// awaitRead returns when there are bytes to read, when the peer has closed, when the read deadline
// passes, or when the connection is closed.
func (w *nonblockingConn) awaitRead() { _ = w.conn.Read(readable) }

// readable reports whether read would not fail with errIdle. The caller keeps the descriptor open.
func readable(fd uintptr) bool {
	var b byte
	_, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&b)), 1, syscall.MSG_PEEK|syscall.MSG_DONTWAIT, 0, 0)
	return errno != syscall.EAGAIN
}

// writeNow calls write(2) without the Go scheduler, since the descriptor never blocks. With many
// clients, the scheduler would cost as much as the call itself.
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
