package node

import (
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/programtest"
)

// TestOutOfDescriptors takes all descriptors of the process while a client connects.
func TestOutOfDescriptors(t *testing.T) {
	logger, log := programtest.Log()
	reg := prometheus.NewRegistry()
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	reports := newAcceptErrors(reg, logger)
	l := reports.listener(plain)
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()

	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	few := before
	few.Cur = 64
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &few); err != nil {
		t.Fatal(err)
	}
	var held []*os.File
	for {
		f, err := os.Open(os.DevNull)
		if err != nil {
			break
		}
		held = append(held, f)
	}
	const tries = 3
	for range tries {
		if conn, err := l.Accept(); err == nil {
			conn.Close()
			t.Error("accepted a connection without a descriptor")
		}
	}
	for _, f := range held {
		f.Close()
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if n := testutil.ToFloat64(reports.count); n != tries {
		t.Errorf("%g accept errors, want %d", n, tries)
	}
	if text := log.String(); strings.Count(text, "out of descriptors") != 1 || !strings.Contains(text, "WARN") || !strings.Contains(text, "ulimit -n") {
		t.Errorf("log:\n%s", text)
	}
}
