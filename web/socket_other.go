//go:build !linux

package web

import (
	"errors"
	"net"
)

// A plainConn exists on Linux only; elsewhere every connection takes the path
// of those whose writes block.
type plainConn struct{}

func (*plainConn) begin(*net.TCPConn, int) {}

func (*plainConn) usable() bool { return false }

func (*plainConn) write([]byte) (int, error) { return 0, errors.ErrUnsupported }

func (*plainConn) read([]byte) (int, error) { return 0, errors.ErrUnsupported }

func (*plainConn) awaitRead() {}

func (*plainConn) wait(func(func([]byte) (int, error)) (bool, error)) error {
	return errors.ErrUnsupported
}
