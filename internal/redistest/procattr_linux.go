package redistest

import "syscall"

// procAttr makes the kernel end the server with the test binary, even if
// that one panics or is killed.
func procAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
