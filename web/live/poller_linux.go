package live

import (
	"errors"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// pollEvents bounds the sockets that one wait reports.
const pollEvents = 128

// A poller waits for all parked sockets at once, in one epoll set with one goroutine. Goroutines
// that wait for one socket each would need a stack each. The zero poller is ready for use; close
// ends it.
//
// The goroutine does not wait in epoll_wait but for the set's own descriptor, which the Go runtime
// polls like any other. So it takes no thread, and closing the descriptor ends it.
type poller struct {
	begun sync.Once
	done  chan struct{} // closed when run has ended; nil if it did not start
	set   *os.File
	conn  syscall.RawConn // of set
	fd    int             // of set
	err   error           // why there is no set

	mu     sync.Mutex // guards parked; held over epoll_ctl, which does not block
	parked []*socket  // by descriptor; nil where none is parked
}

// begin makes the set and starts run.
func (p *poller) begin() {
	p.fd, p.err = unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if p.err != nil {
		return
	}
	if p.err = unix.SetNonblock(p.fd, true); p.err != nil { // lets os.NewFile poll it
		_ = unix.Close(p.fd)
		return
	}
	p.set = os.NewFile(uintptr(p.fd), "epoll")
	if p.conn, p.err = p.set.SyscallConn(); p.err != nil {
		_ = p.set.Close()
		return
	}
	p.done = make(chan struct{})
	go p.run()
}

// watch adds a socket until something happens to it. The caller holds the socket's lock, and the
// socket is not closed.
func (p *poller) watch(s *socket) error {
	p.begun.Do(p.begin)
	if p.err != nil {
		return p.err
	}
	fd := int(s.nonblocking.fd)
	event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLONESHOT, Fd: int32(fd)}
	p.mu.Lock()
	defer p.mu.Unlock()
	if fd >= len(p.parked) {
		p.parked = append(p.parked, make([]*socket, fd+1-len(p.parked))...)
	}
	p.parked[fd] = s
	// A descriptor is added once. Later it is armed again, until closing it removes it.
	err := unix.EpollCtl(p.fd, unix.EPOLL_CTL_MOD, fd, &event)
	if errors.Is(err, unix.ENOENT) {
		err = unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, fd, &event)
	}
	if err != nil {
		p.parked[fd] = nil
	}
	return err
}

// forget drops a socket that is about to be closed. Its descriptor may soon be another socket's.
func (p *poller) forget(s *socket) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if fd := int(s.nonblocking.fd); fd < len(p.parked) && p.parked[fd] == s {
		p.parked[fd] = nil
	}
}

// take returns the socket that is parked with a descriptor, and drops it. It may be another one
// than the event was for, if that was closed meanwhile: this one is woken in vain, and parks again.
func (p *poller) take(fd int32) *socket {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.parked[fd]
	p.parked[fd] = nil
	return s
}

// run wakes the owners of the sockets that something happened to, until close.
func (p *poller) run() {
	defer close(p.done)
	var events [pollEvents]unix.EpollEvent
	for {
		n := 0
		var failed error
		err := p.conn.Read(func(fd uintptr) (done bool) {
			for {
				n, failed = unix.EpollWait(int(fd), events[:], 0)
				if !errors.Is(failed, unix.EINTR) {
					return n > 0 || failed != nil
				}
			}
		})
		if err != nil || failed != nil { // closed; the set has no other error
			return
		}
		for _, e := range events[:n] {
			if s := p.take(e.Fd); s != nil {
				s.unpark()
			}
		}
	}
}

// close ends the poller, and waits for its goroutine. No socket may be parked any more.
func (p *poller) close() {
	p.begun.Do(func() { p.err = os.ErrClosed })
	if p.done == nil {
		return
	}
	_ = p.set.Close()
	<-p.done
}
