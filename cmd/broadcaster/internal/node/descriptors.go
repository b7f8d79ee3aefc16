package node

import (
	"errors"
	"log/slog"
	"net"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fxcast/fxcast/web/access"
)

// acceptErrors reports the connections that a listener could not accept, which net/http does at level
// debug only. Most often the process is out of descriptors; then nobody can connect, and nothing else
// shows it.
type acceptErrors struct {
	count   prometheus.Counter
	warning access.Warning
	log     *slog.Logger
}

func newAcceptErrors(reg prometheus.Registerer, logger *slog.Logger) *acceptErrors {
	a := &acceptErrors{log: logger, count: prometheus.NewCounter(prometheus.CounterOpts{
		Name: "fx_web_accept_errors_total",
		Help: "Connections that the system did not let a listener accept. Growing: the process is out of descriptors, compare process_open_fds with process_max_fds.",
	})}
	reg.MustRegister(a.count)
	return a
}

// listener returns l with its errors reported.
func (a *acceptErrors) listener(l net.Listener) net.Listener { return reportingListener{l, a} }

type reportingListener struct {
	net.Listener
	errors *acceptErrors
}

// Accept implements net.Listener.
func (l reportingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil && !errors.Is(err, net.ErrClosed) {
		l.errors.report(l.Addr(), err)
	}
	return conn, err
}

func (a *acceptErrors) report(addr net.Addr, err error) {
	a.count.Inc()
	n, due := a.warning.Due(time.Now())
	if !due {
		return
	}
	text := "connections cannot be accepted"
	if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
		text = "out of descriptors: no client can connect; raise the limit of open files (ulimit -n, LimitNOFILE)"
	}
	a.log.Warn(text, "addr", addr.String(), "errors", n, "err", err)
}
