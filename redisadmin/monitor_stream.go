package redisadmin

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"strings"
	"sync"
	"time"
)

const (
	maxMonitorLine  = 4 << 10         // bytes kept of a line; the rest is values
	maxMonitorQueue = 4096            // lines that wait for the reader; further ones are dropped and counted
	monitorQuiet    = 5 * time.Second // without a line before a PING, and again before giving up
)

// monitorItem is a line of MONITOR, or the error that ended the stream of a server.
type monitorItem struct {
	line    string
	node    string
	dropped int64
	err     error
}

// Commands yields the commands that the server executes until ctx ends or the caller stops. On a
// cluster it yields those of all masters, in no order between them. It uses MONITOR, which costs
// the server up to half of its throughput, so use it briefly. A caller that is slower than the
// server misses commands; see Command.Dropped. An error ends the sequence.
func (a *Admin) Commands(ctx context.Context) iter.Seq2[Command, error] {
	return func(yield func(Command, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		servers, err := a.servers(ctx)
		if err != nil {
			cancel()
			yield(Command{}, err)
			return
		}
		queue := make(chan monitorItem, maxMonitorQueue)
		var readers sync.WaitGroup
		defer readers.Wait()
		defer cancel()
		for _, srv := range servers {
			readers.Go(func() {
				err := srv.monitor(ctx, queue)
				select { // the error must not be dropped
				case queue <- monitorItem{node: srv.addr, err: err}:
				case <-ctx.Done():
				}
			})
		}
		for {
			var item monitorItem
			select {
			case item = <-queue:
			case <-ctx.Done():
				return
			}
			if item.err != nil {
				if ctx.Err() == nil {
					yield(Command{}, item.err)
				}
				return
			}
			c, err := ParseMonitorLine(item.line)
			if err != nil {
				continue // not a command: the reply to MONITOR or PING
			}
			c.Node, c.Dropped = item.node, item.dropped
			if !yield(c, nil) {
				return
			}
		}
	}
}

// monitor sends lines to queue until the connection ends, which is always an error. The
// connection ends with ctx.
func (srv server) monitor(ctx context.Context, queue chan<- monitorItem) error {
	conn, r, err := srv.openMonitor(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	dropped, pinged := int64(0), false
	line := make([]byte, 0, maxMonitorLine)
	for {
		conn.SetReadDeadline(time.Now().Add(monitorQuiet))
		part, err := r.ReadSlice('\n')
		line = append(line, part[:min(len(part), maxMonitorLine-len(line))]...)
		timeout, _ := errors.AsType[net.Error](err)
		switch {
		case errors.Is(err, bufio.ErrBufferFull): // a large value: the rest of the line follows
			pinged = false
			continue
		case timeout != nil && timeout.Timeout() && !pinged:
			// Either no client sends commands, or the server hangs: a PING finds out.
			pinged = true
			conn.SetWriteDeadline(time.Now().Add(monitorQuiet))
			if _, err := conn.Write([]byte("PING\r\n")); err != nil {
				return unavailable(ctx, "monitor", err)
			}
			continue
		case timeout != nil && timeout.Timeout():
			return unavailable(ctx, "monitor", context.DeadlineExceeded)
		case err != nil:
			return unavailable(ctx, "monitor", err)
		}
		pinged = false
		text, _ := strings.CutPrefix(string(line), "+")
		line = line[:0]
		select {
		case queue <- monitorItem{line: strings.TrimRight(text, "\r\n"), node: srv.addr, dropped: dropped}:
			dropped = 0
		default:
			dropped++
		}
	}
}

// openMonitor opens a connection and sends MONITOR on it. The MONITOR of go-redis cannot be used
// because its queue has no bound.
func (srv server) openMonitor(ctx context.Context) (net.Conn, *bufio.Reader, error) {
	o := srv.client.Options()
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	conn, err := o.Dialer(ctx, o.Network, o.Addr)
	if err != nil {
		return nil, nil, unavailable(ctx, "monitor", err)
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	commands := [][]string{{"MONITOR"}}
	switch {
	case o.Username != "":
		commands = [][]string{{"AUTH", o.Username, o.Password}, {"MONITOR"}}
	case o.Password != "":
		commands = [][]string{{"AUTH", o.Password}, {"MONITOR"}}
	}
	r := bufio.NewReaderSize(conn, 64<<10)
	for _, args := range commands {
		if err := converse(conn, r, args); err != nil {
			conn.Close()
			return nil, nil, monitorError(ctx, err)
		}
	}
	return conn, r, nil
}

// converse sends a command and reads its reply, which is one line.
func converse(w io.Writer, r *bufio.Reader, args []string) error {
	request := fmt.Appendf(nil, "*%d\r\n", len(args))
	for _, arg := range args {
		request = fmt.Appendf(request, "$%d\r\n%s\r\n", len(arg), arg)
	}
	if _, err := w.Write(request); err != nil {
		return err
	}
	reply, err := r.ReadSlice('\n')
	if err != nil {
		return err
	}
	fault, refused := strings.CutPrefix(string(reply), "-")
	switch {
	case refused && args[0] == "AUTH":
		code, _, _ := strings.Cut(fault, " ") // the rest could repeat the password
		return fmt.Errorf("%w: monitor: %s", ErrUnavailable, printable(code, 20))
	case refused:
		return fmt.Errorf("%w: %s", ErrNotOffered, printable(strings.TrimSpace(fault), maxReason))
	}
	return nil
}

// monitorError wraps err as unavailable unless it is an error of this package.
func monitorError(ctx context.Context, err error) error {
	if errors.Is(err, ErrNotOffered) || errors.Is(err, ErrUnavailable) {
		return err
	}
	return unavailable(ctx, "monitor", err)
}
