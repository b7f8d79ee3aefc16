package web

import (
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/fxcast/fxcast/web/endpoint"
)

// ownHost refuses requests whose Host is not this machine: neither a loopback name, nor the address
// of the connection, nor the host of listen, which is the address that the listener was given. A
// site whose name suddenly resolves to this machine gets nothing from it (DNS rebinding). With
// listen "" it refuses nothing.
func (s *Server) ownHost(listen string, next http.Handler) http.Handler {
	if listen == "" {
		return next
	}
	given, _, _ := net.SplitHostPort(listen)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := hostName(r.Host)
		if name == "" || loopbackName(name) || strings.EqualFold(name, given) || localAddress(r, name) {
			next.ServeHTTP(w, r)
			return
		}
		endpoint.WriteProblem(w, r, s.log, &endpoint.Problem{Status: http.StatusMisdirectedRequest, Title: "Misdirected request",
			Detail: "this listener answers only to localhost and to its own address; have a proxy send one of them as Host"})
	})
}

// hostName returns the name or address in a Host header.
func hostName(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.TrimSuffix(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"), ".")
}

// loopbackName reports whether a name or address can only be this machine.
func loopbackName(name string) bool {
	name = strings.ToLower(name)
	if name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return true
	}
	a, err := netip.ParseAddr(name)
	return err == nil && a.Unmap().IsLoopback()
}

// localAddress reports whether the client has connected to this address.
func localAddress(r *http.Request, name string) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	a, err := netip.ParseAddr(name)
	return ok && err == nil && a.Unmap().WithZone("") == local.AddrPort().Addr().Unmap().WithZone("")
}
