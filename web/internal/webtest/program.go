package webtest

import (
	"net/http"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/fxcast/fxcast/internal/redistest"
	"github.com/fxcast/fxcast/internal/testprogram"
)

// A Program is the whole program, whose pages a browser opens.
type Program struct {
	URL     string // of the page, without a slash at the end
	Admin   string // of the operator's page, likewise; its token is AdminToken
	Stop    func() // as a crash: the listener and its connections are gone at once
	Restart func() // after Stop: serves again at the same URL

	path string // of the binary
}

// Command returns a command of the same program.
func (p Program) Command(environ []string, args ...string) *exec.Cmd {
	cmd := exec.Command(p.path, args...)
	cmd.Env = append(os.Environ(), environ...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// StartProgram starts the program in a process of its own, as a visitor meets it: with
// embedded Redis and simulated prices, several a second, of EUR/USD and others. Its
// request limits allow some hundred requests a minute. Environ is added to its settings. It is
// stopped when the test ends.
func StartProgram(t *testing.T, environ ...string) Program {
	t.Helper()
	binary, err := testprogram.Build(t.TempDir(), "broadcaster")
	if err != nil {
		t.Fatal(err)
	}
	addr, admin := "127.0.0.1:"+redistest.FreePort(t), "127.0.0.1:"+redistest.FreePort(t)
	var process *exec.Cmd
	start := func() {
		process = exec.Command(binary)
		process.Env = append(os.Environ(), "HTTP_ADDR="+addr, "ADMIN_ADDR="+admin, "ADMIN_TOKEN="+AdminToken, "LOG_LEVEL=error",
			"RATE_PER_MINUTE=6000", "RATE_PER_HOUR=60000", "RATE_PER_DAY=600000")
		process.Env = append(process.Env, environ...)
		process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := process.Start(); err != nil {
			t.Fatal(err)
		}
		deadline := time.Now().Add(20 * time.Second)
		for {
			if r, err := http.Get("http://" + addr + "/livez"); err == nil {
				r.Body.Close()
				return
			}
			if time.Now().After(deadline) {
				t.Fatal("the server does not answer")
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	stop := func() {
		_ = process.Process.Kill()
		_ = process.Wait()
	}
	start()
	t.Cleanup(stop)
	return Program{URL: "http://" + addr, Admin: "http://" + admin, Stop: stop, Restart: start, path: binary}
}
