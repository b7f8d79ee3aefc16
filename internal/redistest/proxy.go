package redistest

import (
	"net"
	"slices"
	"sync"
	"testing"
	"time"
)

// Proxy is a TCP proxy in front of one server that simulates a broken network. It is safe for
// concurrent use.
type Proxy struct {
	target   string
	listener net.Listener
	wg       sync.WaitGroup

	mu      sync.Mutex    // guards the following fields; nothing blocks under it
	changed chan struct{} // closed and replaced by every change
	mode    proxyMode
	rate    int           // bytes per second and direction; 0 = no limit
	delay   time.Duration // of each byte
	links   map[*link]struct{}
	opened  []time.Time // when each connection was
	closed  bool
}

type proxyMode int

const (
	modePass proxyMode = iota
	modeHold
	modeCut
)

// link is one connection through the proxy.
type link struct {
	client net.Conn
	done   chan struct{}
	end    func() // closes done

	// Guarded by Proxy.mu.
	server net.Conn // nil until it is open
	cut    bool     // all its data is lost
	sent   int      // bytes of the server that were delivered
}

// StartProxy listens on a free port of 127.0.0.1 and forwards to addr until the test ends.
func StartProxy(t testing.TB, addr string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("redistest: %v", err)
	}
	p := &Proxy{target: addr, listener: l, changed: make(chan struct{}), links: map[*link]struct{}{}}
	p.wg.Go(p.accept)
	t.Cleanup(p.stop)
	return p
}

// Addr returns the host:port on which the proxy listens.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Cut silences all open connections for good: neither data nor the end of a connection gets
// through. It simulates a cut cable, and a firewall that has forgotten the connections when the
// cable is repaired. A connection that is opened before Restore stays silent too.
func (p *Proxy) Cut() { p.set(func() { p.mode = modeCut; p.cutLinks() }) }

// Hold delays all data, also that of new connections, until Restore. It simulates a cable that is
// repaired before connections time out.
func (p *Proxy) Hold() { p.set(func() { p.mode = modeHold }) }

// Slow limits each direction of each connection to a rate in bytes per second (0 = no limit) and
// delays its data.
func (p *Proxy) Slow(bytesPerSecond int, delay time.Duration) {
	p.set(func() { p.rate, p.delay = bytesPerSecond, delay })
}

// Restore ends Cut, Hold and Slow.
func (p *Proxy) Restore() { p.set(func() { p.mode, p.rate, p.delay = modePass, 0, 0 }) }

// Reset ends every connection with a TCP reset on both sides and returns their number.
func (p *Proxy) Reset() int {
	p.mu.Lock()
	links := make([]*link, 0, len(p.links))
	for l := range p.links {
		links = append(links, l)
	}
	clear(p.links)
	p.mu.Unlock()
	for _, l := range links {
		p.reset(l)
	}
	return len(links)
}

// Connections returns the number of open connections.
func (p *Proxy) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.links)
}

// Opened returns the times at which connections were opened.
func (p *Proxy) Opened() []time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.opened)
}

// Delivered returns how many bytes of the server reached the other side over one connection: the
// most over any that is open and was not cut.
func (p *Proxy) Delivered() (most int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		if !l.cut {
			most = max(most, l.sent)
		}
	}
	return most
}

func (p *Proxy) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *Proxy) cutLinks() {
	for l := range p.links {
		l.cut = true
	}
}

func (p *Proxy) stop() {
	p.listener.Close()
	p.set(func() { p.closed = true })
	p.Reset()
	p.wg.Wait()
}

func (p *Proxy) accept() {
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return
		}
		done := make(chan struct{})
		l := &link{client: c, done: done, end: sync.OnceFunc(func() { close(done) })}
		p.mu.Lock()
		l.cut = p.mode == modeCut
		closed := p.closed
		p.opened = append(p.opened, time.Now())
		p.links[l] = struct{}{}
		p.mu.Unlock()
		if closed {
			p.reset(l)
		}
		p.wg.Go(func() { p.serve(l) })
	}
}

func (p *Proxy) serve(l *link) {
	defer func() {
		p.reset(l)
		p.mu.Lock()
		delete(p.links, l)
		p.mu.Unlock()
	}()
	if !p.pass(l) {
		return
	}
	server, err := net.DialTimeout("tcp", p.target, 3*time.Second)
	if err != nil {
		return // the client gets a reset, as it would without the proxy
	}
	p.mu.Lock()
	l.server = server
	p.mu.Unlock()
	select {
	case <-l.done: // Reset was called meanwhile
		server.Close()
		return
	default:
	}
	var wg sync.WaitGroup
	wg.Go(func() { p.forward(l, server, l.client) })
	wg.Go(func() { p.forward(l, l.client, server) })
	wg.Wait()
}

// pass waits while the proxy holds data. It returns false when the link has ended; on a link that
// was cut it waits for that.
func (p *Proxy) pass(l *link) bool {
	for {
		p.mu.Lock()
		cut, hold, changed := l.cut, p.mode == modeHold, p.changed
		p.mu.Unlock()
		if !cut && !hold {
			return true
		}
		if cut {
			<-l.done
			return false
		}
		select {
		case <-changed:
		case <-l.done:
			return false
		}
	}
}

// chunk is bytes on their way through the proxy.
type chunk struct {
	bytes []byte
	at    time.Time // of their arrival at the proxy
}

// forward carries one direction until it ends.
func (p *Proxy) forward(l *link, to, from net.Conn) {
	queue := make(chan chunk, 64)
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(queue)
		for {
			b := make([]byte, 16<<10)
			n, err := from.Read(b)
			if n > 0 {
				select {
				case queue <- chunk{b[:n], time.Now()}:
				case <-l.done:
					return
				}
			}
			if err != nil {
				return
			}
		}
	})
	for c := range queue {
		if !p.wait(l, c) {
			break
		}
		if _, err := to.Write(c.bytes); err != nil {
			break
		}
		if to == l.client {
			p.mu.Lock()
			l.sent += len(c.bytes)
			p.mu.Unlock()
		}
	}
	if p.pass(l) { // a cut stops the end of a connection too
		l.end()
		to.Close()
		from.Close()
	}
	wg.Wait()
}

// wait returns true when the chunk may be delivered, and false if it never may.
func (p *Proxy) wait(l *link, c chunk) bool {
	p.mu.Lock()
	due := time.Until(c.at.Add(p.delay))
	if p.rate > 0 {
		due = max(due, time.Duration(len(c.bytes))*time.Second/time.Duration(p.rate))
	}
	p.mu.Unlock()
	if due > 0 {
		t := time.NewTimer(due)
		defer t.Stop()
		select {
		case <-t.C:
		case <-l.done:
			return false
		}
	}
	return p.pass(l)
}

// reset closes both sides with a TCP reset.
func (p *Proxy) reset(l *link) {
	l.end()
	p.mu.Lock()
	server := l.server
	p.mu.Unlock()
	for _, c := range []net.Conn{l.client, server} {
		if tcp, ok := c.(*net.TCPConn); ok {
			tcp.SetLinger(0)
			tcp.Close()
		}
	}
}
