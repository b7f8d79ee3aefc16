package redistest

import "syscall"

// ProcAttr makes the kernel end a process with the test binary that started it,
// even if that one panics or is killed.
func ProcAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
