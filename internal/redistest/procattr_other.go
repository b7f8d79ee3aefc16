//go:build !linux

package redistest

import "syscall"

// ProcAttr returns nil: this system cannot end a process together with its parent.
func ProcAttr() *syscall.SysProcAttr { return nil }
