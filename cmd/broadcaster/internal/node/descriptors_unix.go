//go:build unix

package node

import (
	"math"
	"syscall"
)

// openFiles returns how many descriptors the process may have.
func openFiles() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return math.MaxInt32
	}
	return int(min(uint64(limit.Cur), math.MaxInt32)) // on some systems the type is signed
}
