package httplimit

import (
	"net/http"
	"net/netip"
	"strings"
)

// ClientAddress returns the address of the client that sent r, without zone and with IPv4-mapped
// IPv6 unmapped. It is the peer's address; if the peer is a trusted proxy, it is the last entry of
// X-Forwarded-For that is not a trusted proxy. Headers from an untrusted peer are ignored, and so
// is everything left of an entry that is not an address. The result is invalid if the peer has no
// IP address.
func ClientAddress(r *http.Request, trusted []netip.Prefix) netip.Addr {
	addr := parseAddress(r.RemoteAddr)
	if !Contains(trusted, addr) {
		return addr
	}
	rest := strings.Join(r.Header.Values("X-Forwarded-For"), ",")
	for more := true; more; {
		i := strings.LastIndexByte(rest, ',')
		entry := strings.TrimSpace(rest[i+1:])
		rest, more = rest[:max(i, 0)], i >= 0
		if entry == "" {
			continue
		}
		next := parseAddress(entry)
		if !next.IsValid() {
			return addr
		}
		if addr = next; !Contains(trusted, addr) {
			return addr
		}
	}
	return addr
}

// FromTrustedProxy reports whether the peer that sent r is a trusted proxy, so that its forwarding
// headers may be believed.
func FromTrustedProxy(r *http.Request, trusted []netip.Prefix) bool {
	return Contains(trusted, parseAddress(r.RemoteAddr))
}

// Contains reports whether one of the prefixes contains a. A prefix may be written as IPv4-mapped
// IPv6. No prefix contains the invalid address.
func Contains(prefixes []netip.Prefix, a netip.Addr) bool {
	if !a.IsValid() {
		return false
	}
	for _, p := range prefixes {
		if p.Contains(a) {
			return true
		}
		if a.Is4() && p.Addr().Is4In6() && p.Bits() >= 96 && netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96).Contains(a) {
			return true
		}
	}
	return false
}

// parseAddress parses an address with or without a port, such as 192.0.2.1, 192.0.2.1:80,
// 2001:db8::1 or [2001:db8::1]:80.
func parseAddress(s string) netip.Addr {
	if a, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		return a.Unmap().WithZone("")
	}
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr().Unmap().WithZone("")
	}
	return netip.Addr{}
}

// AddressSubject returns the subject of a client that is known only by its address: the address for
// IPv4, the /64 for IPv6, because one customer has at least that.
func AddressSubject(a netip.Addr) string {
	a = a.Unmap().WithZone("")
	if !a.IsValid() {
		return "ip:unknown"
	}
	if a.Is6() {
		p, _ := a.Prefix(64) // 64 bits fit any IPv6 address
		return "ip:" + p.String()
	}
	return "ip:" + a.String()
}
