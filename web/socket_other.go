//go:build !linux

package web

import (
	"errors"
	"net"
)

// A plainWriter exists on Linux only; elsewhere every connection takes the path
// of those whose writes block.
type plainWriter struct{}

func (*plainWriter) begin(*net.TCPConn, int) {}

func (*plainWriter) usable() bool { return false }

func (*plainWriter) write([]byte) (int, error) { return 0, errors.ErrUnsupported }

func (*plainWriter) wait(func(func([]byte) (int, error)) (bool, error)) error {
	return errors.ErrUnsupported
}
