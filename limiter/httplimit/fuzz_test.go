package httplimit_test

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/fxcast/fxcast/limiter/httplimit"
)

// FuzzClientAddress: the address is always the peer's or one in the header. It is not a trusted
// proxy if another address stands to the right of an invalid entry.
func FuzzClientAddress(f *testing.F) {
	f.Add("10.0.0.1:80", "1.2.3.4, 10.0.0.2")
	f.Add("[2001:db8::1]:80", "::1")
	f.Add("@", ",,")
	f.Add("10.0.0.1:80", "[::ffff:10.0.0.1]:80, [fe80::1%25eth0]")
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	f.Fuzz(func(t *testing.T, remote, forwarded string) {
		r := &http.Request{RemoteAddr: remote, Header: http.Header{"X-Forwarded-For": {forwarded}}}
		got := httplimit.ClientAddress(r, trusted)
		peer := httplimit.ParseAddress(remote)
		if got != peer {
			if !trusted[0].Contains(peer) {
				t.Fatalf("%q with an untrusted peer: %v", forwarded, got)
			}
			found := false
			for e := range strings.SplitSeq(forwarded, ",") {
				found = found || httplimit.ParseAddress(strings.TrimSpace(e)) == got
			}
			if !found {
				t.Fatalf("%v is not in %q", got, forwarded)
			}
		}
		if got.Is4In6() || got.Zone() != "" {
			t.Fatalf("%v is not canonical", got)
		}
		if s := httplimit.AddressSubject(got); !strings.HasPrefix(s, "ip:") || strings.ContainsAny(s, "{} %\n") {
			t.Fatalf("subject %q", s)
		}
	})
}
