package redistest

import (
	"net"
	"sync"
	"testing"
	"time"
)

// Proxy is a TCP proxy in front of one server: the network between, which the
// test breaks. Its methods may be called from any goroutine.
type Proxy struct {
	target   string
	listener net.Listener
	wg       sync.WaitGroup

	mu      sync.Mutex // guards all below; nothing blocks under it
	changed chan struct{}
	mode    proxyMode
	rate    int           // bytes per second and direction; 0 = any
	delay   time.Duration // of each byte
	links   map[*link]struct{}
	closed  bool
}

type proxyMode int

const (
	modePass proxyMode = iota
	modeHold
	modeCut
)

// A link is one connection through the proxy.
type link struct {
	client net.Conn
	done   chan struct{}
	end    func() // closes done

	// Guarded by Proxy.mu.
	server net.Conn // nil until there is one
	cut    bool     // what it carries is lost for good
}

// StartProxy listens on a free port of 127.0.0.1 and forwards to addr until the
// test ends.
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

// Addr returns host:port to connect to.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Cut drops what the present connections carry, silently and for good: neither
// data nor the end of a connection gets through, as with a cut cable and a
// firewall that has forgotten the connections when it is mended. New ones are
// taken and answer nothing until Restore, and then neither.
func (p *Proxy) Cut() { p.set(func() { p.mode = modeCut; p.cutLinks() }) }

// Hold keeps everything back, new connections too, until Restore lets all of it
// through, as with a cable that is cut for less than the time connections live.
func (p *Proxy) Hold() { p.set(func() { p.mode = modeHold }) }

// Slow limits each direction of each connection to a rate in bytes per second
// (0 = any) and delays what it carries.
func (p *Proxy) Slow(bytesPerSecond int, delay time.Duration) {
	p.set(func() { p.rate, p.delay = bytesPerSecond, delay })
}

// Restore ends Cut, Hold and Slow.
func (p *Proxy) Restore() { p.set(func() { p.mode, p.rate, p.delay = modePass, 0, 0 }) }

// Reset ends every connection with a TCP reset on both sides and returns how
// many there were.
func (p *Proxy) Reset() int {
	p.mu.Lock()
	links := make([]*link, 0, len(p.links))
	for l := range p.links {
		links = append(links, l)
	}
	p.mu.Unlock()
	for _, l := range links {
		p.reset(l)
	}
	return len(links)
}

// Connections returns how many are open.
func (p *Proxy) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.links)
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
		return // the client sees a reset, as it would without the proxy
	}
	p.mu.Lock()
	l.server = server
	p.mu.Unlock()
	select {
	case <-l.done: // reset meanwhile
		server.Close()
		return
	default:
	}
	var wg sync.WaitGroup
	wg.Go(func() { p.forward(l, server, l.client) })
	wg.Go(func() { p.forward(l, l.client, server) })
	wg.Wait()
}

// pass waits while everything is kept back. It waits to the end of a link that
// was cut, and is false then.
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

// A parcel is some bytes on their way.
type parcel struct {
	bytes []byte
	at    time.Time // when they were sent
}

// forward carries one direction until it ends.
func (p *Proxy) forward(l *link, to, from net.Conn) {
	way := make(chan parcel, 64)
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(way)
		for {
			b := make([]byte, 16<<10)
			n, err := from.Read(b)
			if n > 0 {
				select {
				case way <- parcel{b[:n], time.Now()}:
				case <-l.done:
					return
				}
			}
			if err != nil {
				return
			}
		}
	})
	for c := range way {
		if !p.wait(l, c) {
			break
		}
		if _, err := to.Write(c.bytes); err != nil {
			break
		}
	}
	if p.pass(l) { // the end of a connection does not get through a cut either
		l.end()
		to.Close()
		from.Close()
	}
	wg.Wait()
}

// wait is over when the bytes may arrive; false if they never do.
func (p *Proxy) wait(l *link, c parcel) bool {
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

// reset closes both sides so that their peers see a reset.
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
