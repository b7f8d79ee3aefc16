//go:build !linux

package live

import (
	"errors"
	"syscall"
)

// A nonblockingConn is usable on Linux only. On other systems every connection is handled as one
// whose writes block.
type nonblockingConn struct{}

func (*nonblockingConn) begin(syscall.Conn, int) {}

func (*nonblockingConn) usable() bool { return false }

func (*nonblockingConn) write([]byte) (int, error) { return 0, errors.ErrUnsupported }

func (*nonblockingConn) read([]byte) (int, error) { return 0, errors.ErrUnsupported }

func (*nonblockingConn) awaitRead() {}

func (*nonblockingConn) wait(func(func([]byte) (int, error)) (bool, error)) error {
	return errors.ErrUnsupported
}
