//go:build !linux

package live

import (
	"errors"
	"net"
)

// A nonblockingConn exists on Linux only; elsewhere every connection takes the path
// of those whose writes block.
type nonblockingConn struct{}

func (*nonblockingConn) begin(*net.TCPConn, int) {}

func (*nonblockingConn) usable() bool { return false }

func (*nonblockingConn) write([]byte) (int, error) { return 0, errors.ErrUnsupported }

func (*nonblockingConn) read([]byte) (int, error) { return 0, errors.ErrUnsupported }

func (*nonblockingConn) awaitRead() {}

func (*nonblockingConn) wait(func(func([]byte) (int, error)) (bool, error)) error {
	return errors.ErrUnsupported
}
