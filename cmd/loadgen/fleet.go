package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/url"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/protocol"
)

// A pace is the speed at which a client reads.
type pace int

const (
	healthy pace = iota
	slow         // slowRate bytes per second
	stuck        // never
)

// A client is one connection; owned by its worker after start.
type client struct {
	fd      int
	pace    pace
	part    []byte           // start of an incomplete frame
	decoder protocol.Decoder // of binary quotes
	wanted  []int            // indexes of symbols
	last    []uint64         // by index
	budget  float64          // bytes a slow client may read now
	closed  bool
}

// A fleet is all clients.
type fleet struct {
	o         options
	dialect   dialect
	address   syscall.SockaddrInet4
	target    *url.URL
	symbols   map[string]int
	list      []feed.Symbol
	same      []int // what each client wants without -different
	tokens    []string
	workers   []*worker
	wg        sync.WaitGroup
	stopping  atomic.Bool
	measuring atomic.Bool
	newest    atomic.Pointer[[]uint64] // numbers of the last quotes, once they are published
	joins     latencies                // seconds to welcome of churned clients
}

func newFleet(o options, symbols []feed.Symbol, tokens []string) (*fleet, error) {
	u, err := url.Parse(o.url)
	if err != nil || u.Scheme != "ws" {
		return nil, fmt.Errorf("-url %q: want ws://IP:PORT/path", o.url)
	}
	f := &fleet{o: o, dialect: dialects[o.dialect], target: u, list: symbols, tokens: tokens, symbols: make(map[string]int)}
	host, port, err := net.SplitHostPort(u.Host)
	ip := net.ParseIP(host).To4()
	if err != nil || ip == nil || !ip.IsLoopback() {
		return nil, fmt.Errorf("-url %q: want a loopback IPv4 address and a port", o.url)
	}
	copy(f.address.Addr[:], ip)
	if f.address.Port, err = strconv.Atoi(port); err != nil {
		return nil, fmt.Errorf("-url %q: want a port number", o.url)
	}
	for i, s := range symbols {
		f.symbols[string(s)] = i
		if i < o.wanted {
			f.same = append(f.same, i)
		}
	}
	for range max(1, runtime.GOMAXPROCS(0)/2) {
		ep, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
		if err != nil {
			return nil, err
		}
		f.workers = append(f.workers, &worker{fleet: f, epoll: ep, clients: make(map[int]*client), buf: make([]byte, 256<<10),
			counts: counts{latency: make([]uint32, maxLatency+1), closes: make(map[uint16]int)}})
	}
	return f, nil
}

// connect opens all connections, several at a time and at most -ramp per second.
func (f *fleet) connect(ctx context.Context) error {
	const group = 50
	began := time.Now()
	for i := 0; i < f.o.clients && ctx.Err() == nil; i += group {
		n := min(group, f.o.clients-i)
		fds := make([]int, n)
		for j := range fds {
			var err error
			if fds[j], err = f.dial(i + j); err != nil {
				return fmt.Errorf("client %d: %w", i+j, err)
			}
		}
		for j, fd := range fds {
			if err := f.admit(i+j, fd); err != nil {
				return fmt.Errorf("client %d: %w", i+j, err)
			}
		}
		pause(ctx, time.Until(began.Add(time.Duration(i+n)*time.Second/time.Duration(f.o.ramp))))
	}
	return ctx.Err()
}

func (f *fleet) pace(i int) pace {
	switch {
	case i < f.o.stuck:
		return stuck
	case i < f.o.stuck+f.o.slow:
		return slow
	}
	return healthy
}

func (f *fleet) dial(i int) (int, error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if f.pace(i) != healthy {
		_ = syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096)
	}
	// A reset at the end, so that runs leave no TIME_WAIT behind.
	_ = syscall.SetsockoptLinger(fd, syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1})
	if f.o.sources > 0 {
		const bindAddressNoPort = 24
		_ = syscall.SetsockoptInt(fd, syscall.IPPROTO_IP, bindAddressNoPort, 1)
		if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, byte(2 + i%f.o.sources)}}); err != nil {
			return -1, errors.Join(err, syscall.Close(fd))
		}
	}
	wait := syscall.Timeval{Sec: 10}
	_ = syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &wait)
	for err = syscall.Connect(fd, &f.address); err == syscall.EINTR; {
		err = syscall.Connect(fd, &f.address)
	}
	if err != nil && err != syscall.EISCONN {
		return -1, errors.Join(err, syscall.Close(fd))
	}
	request := "GET " + f.target.RequestURI() + " HTTP/1.1\r\nHost: " + f.target.Host +
		"\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
	if f.dialect.subprotocol != "" {
		request += "Sec-WebSocket-Protocol: " + f.dialect.subprotocol + "\r\n"
	}
	if len(f.tokens) > 0 {
		request += "Authorization: Bearer " + f.tokens[i%len(f.tokens)] + "\r\n"
	}
	if _, err := syscall.Write(fd, []byte(request+"\r\n")); err != nil {
		return -1, errors.Join(err, syscall.Close(fd))
	}
	return fd, nil
}

// wanted returns the indexes of the symbols to which a client subscribes: the first ones, or with
// -different a random choice of its own.
func (f *fleet) wanted(i int) []int {
	if !f.o.different {
		return f.same
	}
	return rand.New(rand.NewPCG(uint64(i), 1)).Perm(len(f.list))[:f.o.wanted]
}

func (f *fleet) names(wanted []int) []feed.Symbol {
	names := make([]feed.Symbol, len(wanted))
	for k, i := range wanted {
		names[k] = f.list[i]
	}
	return names
}

// admit reads the answer to the upgrade, subscribes, and passes the client to a worker.
func (f *fleet) admit(i, fd int) error {
	rest, err := upgraded(fd)
	if err != nil {
		return errors.Join(err, syscall.Close(fd))
	}
	wanted := f.wanted(i)
	for _, m := range f.dialect.hello(f.o, f.names(wanted)) {
		if _, err := syscall.Write(fd, frame(f.dialect.opcode(), m)); err != nil {
			return errors.Join(err, syscall.Close(fd))
		}
	}
	w := f.workers[i%len(f.workers)]
	c := &client{fd: fd, pace: f.pace(i), wanted: wanted, last: make([]uint64, len(f.list))}
	w.clients[fd] = c
	if err := syscall.SetNonblock(fd, true); err != nil {
		return err
	}
	w.take(c, rest)
	switch c.pace {
	case slow:
		w.slow = append(w.slow, c)
	case healthy:
		return syscall.EpollCtl(w.epoll, syscall.EPOLL_CTL_ADD, fd, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(fd)})
	}
	return nil
}

// upgraded waits for 101 and returns the bytes after it.
func upgraded(fd int) ([]byte, error) {
	var buf [8192]byte
	for n := 0; n < len(buf); {
		m, err := syscall.Read(fd, buf[n:])
		if err == syscall.EINTR {
			continue
		}
		if err != nil || m == 0 {
			return nil, errors.Join(io.ErrUnexpectedEOF, err)
		}
		n += m
		if i := bytes.Index(buf[:n], []byte("\r\n\r\n")); i >= 0 {
			if !bytes.HasPrefix(buf[:n], []byte("HTTP/1.1 101")) {
				return nil, fmt.Errorf("not upgraded: %.400s", buf[:n])
			}
			return bytes.Clone(buf[i+4 : n]), nil
		}
	}
	return nil, errors.New("the answer to the upgrade is too long")
}

// frame masks with a zero key, which leaves the payload unchanged.
func frame(op byte, payload []byte) []byte {
	b := []byte{0x80 | op}
	if len(payload) < 126 {
		b = append(b, 0x80|byte(len(payload)))
	} else {
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(len(payload)))
	}
	return append(append(b, 0, 0, 0, 0), payload...)
}

func (f *fleet) start() {
	for _, w := range f.workers {
		f.wg.Go(w.loop)
	}
}

// drain waits until all healthy clients have the last quotes, but not longer than -drain.
func (f *fleet) drain(ctx context.Context, p *publisher) {
	if p.client == nil {
		pause(ctx, f.o.drain)
		return
	}
	f.newest.Store(&p.seq)
	for deadline := time.Now().Add(f.o.drain); time.Now().Before(deadline) && ctx.Err() == nil; pause(ctx, 10*time.Millisecond) {
		if !slices.ContainsFunc(f.workers, func(w *worker) bool { return !w.drained.Load() }) {
			return
		}
	}
}

func (f *fleet) stop() {
	f.stopping.Store(true)
	f.wg.Wait()
}

func (f *fleet) close() {
	f.stop()
	for _, w := range f.workers {
		for fd := range w.clients {
			_ = syscall.Close(fd)
		}
		_ = syscall.Close(w.epoll)
	}
}
