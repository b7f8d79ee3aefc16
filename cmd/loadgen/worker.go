package main

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/fxcast/fxcast/protocol"
)

// A worker is one epoll loop over its clients.
type worker struct {
	fleet   *fleet
	epoll   int
	clients map[int]*client
	slow    []*client
	buf     []byte
	scanner scanner
	drained atomic.Bool // all healthy clients have the last quotes
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
		if newest := w.fleet.newest.Load(); newest != nil && !w.drained.Load() {
			w.drained.Store(w.behind(*newest) == 0)
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

// behind returns the number of healthy clients and symbols whose last quote is not the newest.
func (w *worker) behind(newest []uint64) (n uint64) {
	for _, c := range w.clients {
		for _, i := range c.wanted {
			if c.pace == healthy && !c.closed && c.last[i] != newest[i] && w.fleet.dialect.count == nil {
				n++
			}
		}
	}
	return n
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
	case opText, opBinary:
	default:
		return
	}
	d := &w.fleet.dialect
	if d.answer != nil {
		if a := d.answer(payload); a != nil {
			_, _ = syscall.Write(c.fd, frame(d.opcode(), a))
			return
		}
	}
	measuring := w.fleet.measuring.Load()
	if measuring {
		w.counts.frames++
	}
	if d.count != nil {
		if measuring {
			w.delivered += uint64(d.count(payload))
		}
		return
	}
	if !d.binary || op == opText {
		w.scanner.scan(payload, func(symbol []byte, q seen) {
			if i, ok := w.fleet.symbols[string(symbol)]; ok {
				w.quote(c, i, q, now, measuring)
			}
		})
		return
	}
	err := c.decoder.Scan(payload, func(q protocol.ScannedQuote) {
		if i, ok := w.fleet.symbols[q.Symbol]; ok {
			w.quote(c, i, seen{at: q.Micros, seq: q.Seq, skipped: q.Skipped, begins: len(q.Epoch) > 0}, now, measuring)
		}
	})
	if err != nil {
		panic(err) // like a torn frame
	}
}

// quote checks the sequence arithmetic of one quote of a symbol and times it.
func (w *worker) quote(c *client, i int, q seen, now int64, measuring bool) {
	last := c.last[i]
	c.last[i] = q.seq
	switch {
	case q.begins || last == 0: // the count starts here
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
