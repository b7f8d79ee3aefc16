//go:build !linux

package redistest

import "syscall"

// ProcAttr has nothing to offer on this system.
func ProcAttr() *syscall.SysProcAttr { return nil }
