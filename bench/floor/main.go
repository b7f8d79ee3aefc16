// Command floor measures the least CPU time that any server of this kind can use. It upgrades,
// never reads, and writes prepared frames to bare non-blocking sockets, joining waiting frames in
// one write. It has no sessions, symbols or limits. Its CPU time per delivered quote is the cost of
// write(2). It needs Linux.
package main

import (
	"context"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"flag"
	"log"
	"net"
	"net/http"
	"runtime"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"github.com/redis/go-redis/v9"
)

// A shard writes to its share of the sockets.
type shard struct {
	mu      sync.Mutex // guards fds and pending
	fds     []uintptr
	pending []byte
	wake    chan struct{}
}

func (s *shard) run() {
	var out []byte
	for range s.wake {
		s.mu.Lock()
		out, s.pending = s.pending, out[:0]
		fds := s.fds
		s.mu.Unlock()
		for i := 0; i < len(fds) && len(out) > 0; i++ {
			// Bytes that a full socket does not accept are lost: the floor has no slow clients.
			_, _, _ = syscall.RawSyscall(syscall.SYS_WRITE, fds[i], uintptr(unsafe.Pointer(&out[0])), uintptr(len(out)))
		}
	}
}

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "listening address")
	redisAddr := flag.String("redis", "127.0.0.1:6379", "Redis")
	in := flag.String("in", "bench:in", "channel with quotes")
	flag.Parse()

	shards := make([]*shard, runtime.GOMAXPROCS(0))
	for i := range shards {
		shards[i] = &shard{wake: make(chan struct{}, 1)}
		go shards[i].run()
	}
	go receive(redis.NewClient(&redis.Options{Addr: *redisAddr}), *in, shards)

	var mu sync.Mutex
	var kept []net.Conn // keeps the descriptors open
	http.HandleFunc("/ws", func(w http.ResponseWriter, r *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			log.Fatal(err)
		}
		sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
		_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
			base64.StdEncoding.EncodeToString(sum[:]) + "\r\n\r\n")
		_ = rw.Flush()
		raw, err := conn.(*net.TCPConn).SyscallConn()
		if err != nil {
			log.Fatal(err)
		}
		mu.Lock()
		defer mu.Unlock()
		s := shards[len(kept)%len(shards)]
		kept = append(kept, conn)
		_ = raw.Control(func(fd uintptr) {
			s.mu.Lock()
			s.fds = append(s.fds, fd)
			s.mu.Unlock()
		})
	})
	log.Fatal(http.ListenAndServe(*addr, nil))
}

func receive(client *redis.Client, channel string, shards []*shard) {
	sub := client.Subscribe(context.Background(), channel)
	for {
		m, err := sub.ReceiveMessage(context.Background())
		if err != nil {
			log.Print(err)
			time.Sleep(100 * time.Millisecond)
			continue
		}
		for _, s := range shards {
			s.mu.Lock()
			s.pending = append(s.pending, 0x81)
			if n := len(m.Payload); n < 126 {
				s.pending = append(s.pending, byte(n))
			} else {
				s.pending = binary.BigEndian.AppendUint16(append(s.pending, 126), uint16(n))
			}
			s.pending = append(s.pending, m.Payload...)
			s.mu.Unlock()
			select {
			case s.wake <- struct{}{}:
			default:
			}
		}
	}
}
