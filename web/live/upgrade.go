package live

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/fxcast/fxcast/protocol"
	"github.com/fxcast/fxcast/session"
	"github.com/fxcast/fxcast/web/access"
	"github.com/fxcast/fxcast/web/endpoint"
)

// sessionForSocket makes all checks of an upgrade, cheapest first, and returns the session. It
// counts the outcome.
func (s *Server) sessionForSocket(w http.ResponseWriter, r *http.Request) (session.Session, error) {
	none := session.Session{}
	outcome := func(o string) { s.metrics.upgrades.WithLabelValues(o).Inc() }
	if s.draining.Load() {
		outcome("unavailable")
		return none, endpoint.Unavailable("this node is shutting down", nil)
	}
	if err := checkUpgrade(w, r); err != nil {
		outcome("bad")
		return none, err
	}
	if !s.cfg.OriginAllowed(r) {
		outcome("origin")
		return none, endpoint.Forbidden("the page's origin may not connect here; see ALLOWED_ORIGINS")
	}
	r, err := s.cfg.Access.Admit(w, r, ticketOf(r))
	if err != nil {
		outcome("limited")
		return none, err
	}
	sess, err := access.Session(r)
	if err == nil {
		sess, err = s.redeem(r, sess)
	}
	switch {
	case errors.Is(err, session.ErrUnavailable):
		outcome("unavailable")
		return none, err
	case err != nil:
		outcome("unauthorized")
		return none, err
	}
	outcome("accepted")
	return sess, nil
}

// ticketOf returns the ticket of a request that connects, or "". The checks of the request only peek
// at it, so that a request that is refused later does not use it up.
func ticketOf(r *http.Request) string { return r.URL.Query().Get("ticket") }

// redeem uses up the ticket of a request, if it has one, and returns its session.
func (s *Server) redeem(r *http.Request, sess session.Session) (session.Session, error) {
	ticket := ticketOf(r)
	if ticket == "" {
		return sess, nil
	}
	return s.cfg.Sessions.RedeemTicket(r.Context(), ticket)
}

// checkUpgrade refuses a request that websocket.Accept would refuse, but with a problem.
func checkUpgrade(w http.ResponseWriter, r *http.Request) error {
	has := func(header, token string) bool { return hasToken(r.Header, header, token) }
	if !r.ProtoAtLeast(1, 1) || r.Method != http.MethodGet || !has("Connection", "upgrade") || !has("Upgrade", "websocket") {
		w.Header().Set("Upgrade", "websocket")
		return &endpoint.Problem{Status: http.StatusUpgradeRequired, Title: "Upgrade required",
			Detail: "this is a WebSocket endpoint; a proxy in front must pass on the Upgrade and Connection headers"}
	}
	if r.Header.Get("Sec-WebSocket-Version") != "13" {
		w.Header().Set("Upgrade", "websocket")
		w.Header().Set("Sec-WebSocket-Version", "13")
		return &endpoint.Problem{Status: http.StatusUpgradeRequired, Title: "Upgrade required", Detail: "want Sec-WebSocket-Version: 13"}
	}
	if keys := r.Header.Values("Sec-WebSocket-Key"); len(keys) != 1 || !validKey(keys[0]) {
		return endpoint.BadRequest("Sec-WebSocket-Key: want one header with 16 bytes in base64")
	}
	known := func(name string) bool { return has("Sec-WebSocket-Protocol", name) }
	if offered := r.Header.Values("Sec-WebSocket-Protocol"); len(offered) > 0 && !slices.ContainsFunc(subprotocols, known) {
		return endpoint.BadRequest("subprotocol: want %s, or none", strings.Join(subprotocols, ", "))
	}
	return nil
}

// subprotocols are those of the WebSocket, the preferred one first.
var subprotocols = []string{protocol.NameBinary, protocol.Name}

// hasToken reports whether a header with a comma list has a token.
func hasToken(h http.Header, header, token string) bool {
	for _, v := range h.Values(header) {
		for t := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(t), token) {
				return true
			}
		}
	}
	return false
}

func validKey(key string) bool {
	b, err := base64.StdEncoding.DecodeString(strings.TrimSpace(key))
	return err == nil && len(b) == 16
}

// An upgrader gives websocket.Accept a socket instead of the raw connection, and small buffers
// instead of net/http's.
type upgrader struct {
	http.ResponseWriter
	socket *socket // zero until Hijack
	owner  socketOwner

	compressed bool // permessage-deflate was negotiated; set by Hijack
}

// Hijack implements http.Hijacker.
func (u *upgrader) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := http.NewResponseController(u.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	if err := c.SetDeadline(time.Time{}); err != nil && !errors.Is(err, os.ErrNoDeadline) {
		return nil, nil, errors.Join(err, c.Close())
	}
	u.compressed = u.Header().Get("Sec-WebSocket-Extensions") != "" // as Accept has just answered
	u.socket.begin(c, u.owner)
	early, _ := rw.Reader.Peek(rw.Reader.Buffered())
	reader := bufio.NewReaderSize(u.socket, max(readBuffer, len(early)))
	if len(early) > 0 {
		reader.Reset(io.MultiReader(bytes.NewReader(bytes.Clone(early)), u.socket))
		if _, err := reader.Peek(len(early)); err != nil {
			return nil, nil, errors.Join(err, c.Close())
		}
	}
	u.socket.reader = reader
	return u.socket, bufio.NewReadWriter(reader, bufio.NewWriterSize(u.socket, writeBuffer)), nil
}
