package e2e

import (
	"bufio"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/fxcast/fxcast/feed"
)

// A wsClient reads the protocol of a server that is believed to frame rightly;
// package web tests that with a strict one.
type wsClient struct {
	net.Conn
	br *bufio.Reader
}

func dialWS(base string, cookie *http.Cookie) (*wsClient, error) {
	u, err := url.Parse(base)
	if err != nil {
		return nil, err
	}
	c, err := net.Dial("tcp", u.Host)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(c, "GET /ws HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: fx.v1\r\nCookie: %s\r\n\r\n", u.Host, cookie)
	ws := &wsClient{c, bufio.NewReaderSize(c, 64<<10)}
	r, err := http.ReadResponse(ws.br, nil)
	if err != nil || r.StatusCode != http.StatusSwitchingProtocols {
		c.Close()
		return nil, fmt.Errorf("connect: %v %w", r, err)
	}
	return ws, nil
}

func (w *wsClient) send(opcode byte, payload []byte) error {
	b := []byte{0x80 | opcode, 0x80 | 126, byte(len(payload) >> 8), byte(len(payload))}
	if len(payload) < 126 {
		b = []byte{0x80 | opcode, 0x80 | byte(len(payload))}
	}
	var key [4]byte
	rand.Read(key[:])
	b = append(b, key[:]...)
	for i, c := range payload {
		b = append(b, c^key[i%4])
	}
	_, err := w.Write(b)
	return err
}

// next returns the next text message; pings are answered. A close frame is a
// closeCode error.
func (w *wsClient) next() ([]byte, error) {
	w.SetReadDeadline(time.Now().Add(patience))
	for {
		var h [10]byte
		if _, err := io.ReadFull(w.br, h[:2]); err != nil {
			return nil, err
		}
		n := uint64(h[1])
		switch n {
		case 126:
			if _, err := io.ReadFull(w.br, h[2:4]); err != nil {
				return nil, err
			}
			n = uint64(binary.BigEndian.Uint16(h[2:]))
		case 127:
			if _, err := io.ReadFull(w.br, h[2:10]); err != nil {
				return nil, err
			}
			n = binary.BigEndian.Uint64(h[2:])
		}
		if n > 16<<20 {
			return nil, fmt.Errorf("frame of %d bytes", n)
		}
		b := make([]byte, n)
		if _, err := io.ReadFull(w.br, b); err != nil {
			return nil, err
		}
		switch h[0] {
		case 0x81:
			return b, nil
		case 0x88:
			w.send(8, b)
			return nil, closeCode(binary.BigEndian.Uint16(b))
		case 0x89:
			w.send(10, b)
		default:
			return nil, fmt.Errorf("frame % x", h)
		}
	}
}

type closeCode int

func (c closeCode) Error() string { return fmt.Sprintf("closed with %d", int(c)) }

type streamed struct {
	Type, Status, Symbol string
	Code, Reconnect      int
	Data                 []struct {
		Symbol, Bid, Ask, Epoch string
		Seq, Skipped            uint64
	}
}

// A follower is what one client has seen of the stream.
type follower struct {
	seen    map[string]lastSeen
	quotes  int
	skipped uint64
}

type lastSeen struct {
	epoch, bid, ask string
	seq             uint64
}

// reached reports whether these numbers were seen of their symbols.
func (f *follower) reached(counts map[feed.Symbol]uint64) bool {
	for symbol, count := range counts {
		if f.seen[string(symbol)].seq != count {
			return false
		}
	}
	return true
}

// take checks the arithmetic of seq.
func (f *follower) take(b []byte) error {
	var m streamed
	if err := json.Unmarshal(b, &m); err != nil {
		return fmt.Errorf("%s: %w", b, err)
	}
	if m.Type != "update" && m.Type != "snapshot" {
		return nil
	}
	for _, q := range m.Data {
		old, known := f.seen[q.Symbol]
		switch {
		case !known && q.Epoch == "":
			return fmt.Errorf("first quote without epoch: %s", b)
		case q.Epoch != "" && known && q.Epoch != old.epoch:
			return fmt.Errorf("the epoch changed from %s: %s", old.epoch, b)
		case known && m.Type == "update" && q.Seq != old.seq+q.Skipped+1:
			return fmt.Errorf("after seq %d came %s", old.seq, b)
		}
		if q.Epoch != "" {
			old.epoch = q.Epoch
		}
		f.seen[q.Symbol] = lastSeen{old.epoch, q.Bid, q.Ask, q.Seq}
		f.quotes++
		f.skipped += q.Skipped
	}
	return nil
}
