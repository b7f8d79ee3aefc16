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

// Bounds of reading MONITOR.
const (
	maxMonitorLine  = 4 << 10 // bytes kept of a line; the rest is values
	maxMonitorQueue = 4096    // lines that wait for the reader; then new ones are dropped and counted
	monitorQuiet    = 5 * time.Second
)

// A monitorItem is a line, or how one server's stream ended.
type monitorItem struct {
	line    string
	node    string
	dropped int64
	err     error
}

// Commands yields the commands that the server carries out, as it carries them
// out, until ctx ends or the caller stops; on a cluster, of all nodes, in no
// order between them. It uses MONITOR, which costs the server up to half of its
// throughput: not for long, and not without need. A caller that is slower than
// the server misses commands, see Command.Dropped. An error is the last that is
// yielded.
func (a *Admin) Commands(ctx context.Context) iter.Seq2[Command, error] {
	return func(yield func(Command, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		nodes, err := a.nodes(ctx)
		if err != nil {
			cancel()
			yield(Command{}, err)
			return
		}
		queue := make(chan monitorItem, maxMonitorQueue)
		var readers sync.WaitGroup
		defer readers.Wait()
		defer cancel()
		for _, n := range nodes {
			readers.Go(func() {
				err := n.monitor(ctx, queue)
				select { // the error must get through
				case queue <- monitorItem{node: n.addr, err: err}:
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
				continue // of another form: the replies to MONITOR and PING
			}
			c.Node, c.Dropped = item.node, item.dropped
			if !yield(c, nil) {
				return
			}
		}
	}
}

// monitor sends lines to queue until ctx ends or the connection does, which is
// always an error.
func (n node) monitor(ctx context.Context, queue chan<- monitorItem) error {
	conn, r, err := n.openMonitor(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	dropped, asked := int64(0), false
	line := make([]byte, 0, maxMonitorLine)
	for {
		conn.SetReadDeadline(time.Now().Add(monitorQuiet))
		part, err := r.ReadSlice('\n')
		line = append(line, part[:min(len(part), maxMonitorLine-len(line))]...)
		timeout, _ := errors.AsType[net.Error](err)
		switch {
		case errors.Is(err, bufio.ErrBufferFull): // a large value: the rest of the line follows
			asked = false
			continue
		case timeout != nil && timeout.Timeout() && !asked:
			// Nobody does anything, or the server hangs: a PING tells.
			asked = true
			conn.SetWriteDeadline(time.Now().Add(monitorQuiet))
			if _, err := conn.Write([]byte("PING\r\n")); err != nil {
				return lost(ctx, "monitor", err)
			}
			continue
		case timeout != nil && timeout.Timeout():
			return lost(ctx, "monitor", context.DeadlineExceeded)
		case err != nil:
			return lost(ctx, "monitor", err)
		}
		asked = false
		text, _ := strings.CutPrefix(string(line), "+")
		line = line[:0]
		select {
		case queue <- monitorItem{line: strings.TrimRight(text, "\r\n"), node: n.addr, dropped: dropped}:
			dropped = 0
		default:
			dropped++
		}
	}
}

// openMonitor makes a connection of its own and sends MONITOR on it: go-redis
// has no stream that can be bounded.
func (n node) openMonitor(ctx context.Context) (net.Conn, *bufio.Reader, error) {
	o := n.client.Options()
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	conn, err := o.Dialer(ctx, o.Network, o.Addr)
	if err != nil {
		return nil, nil, lost(ctx, "monitor", err)
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
			return nil, nil, lostOr(ctx, err)
		}
	}
	return conn, r, nil
}

// converse sends a command and reads the line it is answered with.
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
		code, _, _ := strings.Cut(fault, " ") // the rest could repeat what was sent
		return fmt.Errorf("%w: monitor: %s", ErrUnavailable, plain(code, 20))
	case refused:
		return fmt.Errorf("%w: %s", ErrNotOffered, plain(strings.TrimSpace(fault), maxReason))
	}
	return nil
}

// lostOr words err unless it already is one of this package.
func lostOr(ctx context.Context, err error) error {
	if errors.Is(err, ErrNotOffered) || errors.Is(err, ErrUnavailable) {
		return err
	}
	return lost(ctx, "monitor", err)
}
