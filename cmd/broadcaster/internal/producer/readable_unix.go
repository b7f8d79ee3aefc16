//go:build unix

package producer

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// readable waits until a read of f would not block, but only for a while, and reports whether it
// would not. A FIFO is not readable before its first writer has opened it.
func readable(f *os.File, wait time.Duration) (ready bool, err error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return false, err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, int(wait.Milliseconds()))
		if err != nil && err != unix.EINTR {
			failed = err
		}
		ready = err == nil && n > 0
	})
	if err == nil {
		err = failed
	}
	return ready, err
}
