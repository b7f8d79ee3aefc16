package redistest

import "syscall"

// ProcAttr returns attributes that make the kernel kill a process when the test binary that started
// it ends, even if the binary panics or is killed.
func ProcAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
