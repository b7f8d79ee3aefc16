package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/fxcast/fxcast/feed"
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
	fd     int
	pace   pace
	part   []byte // start of an incomplete frame
	last   []uint64
	budget float64 // bytes a slow client may read now
	closed bool
}

// A worker is one epoll loop over its clients.
type worker struct {
	fleet   *fleet
	epoll   int
	clients map[int]*client
	slow    []*client
	buf     []byte
	scanner scanner
	counts
}

// counts of one worker; read after it has stopped.
type counts struct {
	latency   []uint32 // by µs
	delivered uint64
	skipped   uint64
	lost      uint64 // gaps that skipped does not explain
	doubled   uint64 // seq that did not grow
	frames    uint64
	reads     uint64
	bytes     uint64
	slowAge   int64 // greatest age of a quote at a slow reader, µs
	closes    map[uint16]int
	failed    uint64 // connections that ended without a close frame
}

const maxLatency = 4_000_000 // µs; longer ones count as this

// A fleet is all clients.
type fleet struct {
	o         options
	address   syscall.SockaddrInet4
	target    *url.URL
	symbols   map[string]int
	list      []feed.Symbol
	tokens    []string
	workers   []*worker
	wg        sync.WaitGroup
	stopping  atomic.Bool
	measuring atomic.Bool
	joins     latencies // seconds to welcome of churned clients
}

func newFleet(o options, symbols []feed.Symbol, tokens []string) (*fleet, error) {
	u, err := url.Parse(o.url)
	if err != nil || u.Scheme != "ws" {
		return nil, fmt.Errorf("-url %q: want ws://IP:PORT/path", o.url)
	}
	f := &fleet{o: o, target: u, list: symbols, tokens: tokens, symbols: make(map[string]int)}
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
	if len(f.tokens) > 0 {
		request += "Authorization: Bearer " + f.tokens[i%len(f.tokens)] + "\r\n"
	}
	if _, err := syscall.Write(fd, []byte(request+"\r\n")); err != nil {
		return -1, errors.Join(err, syscall.Close(fd))
	}
	return fd, nil
}

// admit reads the answer to the upgrade, subscribes, and passes the client to a worker.
func (f *fleet) admit(i, fd int) error {
	rest, err := upgraded(fd)
	if err != nil {
		return errors.Join(err, syscall.Close(fd))
	}
	for _, m := range dialects[f.o.dialect].hello(f.o, f.list[:f.o.wanted]) {
		if _, err := syscall.Write(fd, frame(1, m)); err != nil {
			return errors.Join(err, syscall.Close(fd))
		}
	}
	w := f.workers[i%len(f.workers)]
	c := &client{fd: fd, pace: f.pace(i), last: make([]uint64, len(f.list))}
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

// loop reads until the fleet stops.
func (w *worker) loop() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	events := make([]syscall.EpollEvent, 1024)
	last := time.Now()
	for !w.fleet.stopping.Load() {
		n, err := syscall.EpollWait(w.epoll, events, 50)
		if err != nil && err != syscall.EINTR {
			panic(err) // the loop itself is broken, so no measurement would be valid
		}
		for _, e := range events[:max(n, 0)] {
			if c := w.clients[int(e.Fd)]; c != nil && !c.closed {
				w.read(c, w.buf)
			}
		}
		if now := time.Now(); now.Sub(last) > 50*time.Millisecond {
			for _, c := range w.slow {
				c.budget += now.Sub(last).Seconds() * float64(w.fleet.o.slowRate)
				if c.budget >= 64 && !c.closed {
					c.budget -= float64(w.read(c, w.buf[:int(c.budget)]))
				}
			}
			last = now
		}
	}
}

func (w *worker) read(c *client, buf []byte) int {
	n, err := syscall.Read(c.fd, buf)
	if err == syscall.EAGAIN || err == syscall.EINTR {
		return 0
	}
	if err != nil || n == 0 {
		w.end(c)
		w.failed++
		return 0
	}
	if w.fleet.measuring.Load() {
		w.reads++
		w.bytes += uint64(n)
	}
	w.take(c, buf[:n])
	return n
}

func (w *worker) end(c *client) {
	if !c.closed {
		c.closed = true
		_ = syscall.EpollCtl(w.epoll, syscall.EPOLL_CTL_DEL, c.fd, nil)
	}
}

func (w *worker) take(c *client, b []byte) {
	now := time.Now().UnixMicro()
	if len(c.part) > 0 {
		c.part = append(c.part, b...)
		c.part = append(c.part[:0], w.whole(c, c.part, now)...)
		return
	}
	c.part = append(c.part, w.whole(c, b, now)...)
}

// whole handles the complete frames of b and returns the rest. A server's frame is never masked
// and, here, never fragmented.
func (w *worker) whole(c *client, b []byte, now int64) []byte {
	for len(b) >= 2 {
		n, head := int(b[1]), 2
		switch {
		case n == 126 && len(b) >= 4:
			n, head = int(binary.BigEndian.Uint16(b[2:])), 4
		case n == 127 && len(b) >= 10:
			n, head = int(binary.BigEndian.Uint64(b[2:])), 10
		case n > 125 && n < 128:
			return b
		}
		if b[0]&0x70 != 0 || b[0]&0x80 == 0 || b[1]&0x80 != 0 {
			panic(fmt.Sprintf("bad frame header % x: the stream is torn", b[:2]))
		}
		if len(b) < head+n {
			return b
		}
		w.message(c, b[0]&0x0f, b[head:head+n], now)
		b = b[head+n:]
	}
	return b
}

func (w *worker) message(c *client, op byte, payload []byte, now int64) {
	switch op {
	case 8:
		code := uint16(1005)
		if len(payload) >= 2 {
			code = binary.BigEndian.Uint16(payload)
		}
		w.closes[code]++
		_, _ = syscall.Write(c.fd, frame(8, payload))
		w.end(c)
		return
	case 9:
		_, _ = syscall.Write(c.fd, frame(10, payload))
		return
	case 1:
	default:
		return
	}
	if answer := dialects[w.fleet.o.dialect].answer; answer != nil {
		if a := answer(payload); a != nil {
			_, _ = syscall.Write(c.fd, frame(1, a))
			return
		}
	}
	measuring := w.fleet.measuring.Load()
	if measuring {
		w.counts.frames++
	}
	w.scanner.scan(payload, func(q seen) { w.quote(c, q, now, measuring) })
}

// quote checks the sequence arithmetic of one quote and times it.
func (w *worker) quote(c *client, q seen, now int64, measuring bool) {
	i, ok := w.fleet.symbols[string(q.symbol)]
	if !ok {
		return
	}
	last := c.last[i]
	c.last[i] = q.seq
	switch {
	case len(q.epoch) > 0 || last == 0: // the count starts here
	case q.seq <= last:
		w.doubled++
	case q.seq-last-1 != q.skipped:
		w.lost += q.seq - last - 1 - q.skipped
	}
	if !measuring {
		return
	}
	age := max(now-q.at, 0)
	if c.pace == slow {
		w.slowAge = max(w.slowAge, age)
		return
	}
	w.delivered++
	w.skipped += q.skipped
	w.latency[min(age, maxLatency)]++
}
