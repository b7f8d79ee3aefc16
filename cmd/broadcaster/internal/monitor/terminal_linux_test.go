package monitor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/cli"
	"github.com/fxcast/fxcast/cmd/broadcaster/internal/programtest"
	"github.com/fxcast/fxcast/internal/redistest"
)

// openTerminal returns both ends of a pseudo-terminal of 80 columns and 24 lines.
func openTerminal(t *testing.T) (master, tty *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	t.Cleanup(func() { master.Close() })
	fd := int(master.Fd())
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 80})
	}
	if err != nil {
		t.Fatal(err)
	}
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tty.Close() })
	return master, tty
}

// TestMonitorOnATerminal ends the live view as Ctrl-C does, also while the server
// hangs: the terminal gets its screen and its cursor back.
func TestMonitorOnATerminal(t *testing.T) {
	t.Parallel()
	for _, hang := range []bool{false, true} {
		server := redistest.Start(t)
		master, tty := openTerminal(t)
		var screen programtest.Buffer
		var reader sync.WaitGroup
		reader.Go(func() {
			if _, err := io.Copy(&screen, master); err != nil && !errors.Is(err, unix.EIO) {
				t.Error(err)
			}
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var errs programtest.Buffer
		code := make(chan int, 1)
		go func() {
			code <- Run(ctx, cli.Call{Args: []string{"--monitor", "600", "--commands"}, Environ: []string{"REDIS_URL=" + server.URL()}, Stdout: tty, Stderr: &errs})
		}()
		programtest.Eventually(t, "a frame with numbers", func() bool { return strings.Contains(screen.String(), "COMMAND  ") })
		if hang {
			server.Pause()
			programtest.Eventually(t, "the pause is told", func() bool { return strings.Contains(screen.String(), "Redis is not available") })
		}
		cancel()
		start := time.Now()
		if c := <-code; c != 0 {
			t.Errorf("exit code %d, %q", c, errs.String())
		}
		if took := time.Since(start); took > 20*time.Second {
			t.Errorf("it ended after %v", took)
		}
		tty.Close()
		reader.Wait()
		text := screen.String()
		if strings.Count(text, ansiOpen) != 1 || strings.Count(text, ansiClose) != 1 || strings.LastIndex(text, "\x1b") > strings.Index(text, ansiClose)+len(ansiClose) {
			t.Errorf("the terminal is not as it was: %q", text)
		}
		_, left, _ := strings.Cut(text, ansiClose)
		if !strings.Contains(left, "SLOWEST SO FAR") || hang && !strings.Contains(left, "Redis is not available") {
			t.Errorf("left on the terminal: %q", left)
		}
		checkText(t, "the last frame", strings.ReplaceAll(left, "\r\n", "\n"))
	}
}

// TestMonitorOnADumbTerminal: one that cannot move its cursor gets plain lines.
func TestMonitorOnADumbTerminal(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	master, tty := openTerminal(t)
	var screen, errs programtest.Buffer
	var reader sync.WaitGroup
	reader.Go(func() { io.Copy(&screen, master) }) // EIO at the end
	code := Run(t.Context(), cli.Call{Args: []string{"--monitor", "1"}, Environ: []string{"REDIS_URL=" + server.URL(), "TERM=dumb"}, Stdout: tty, Stderr: &errs})
	tty.Close()
	reader.Wait()
	if text := screen.String(); code != 0 || strings.ContainsRune(text, 0x1b) || !strings.Contains(text, "time UTC") {
		t.Errorf("%d, %q, %q", code, text, errs.String())
	}
}
