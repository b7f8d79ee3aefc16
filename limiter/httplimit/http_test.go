package httplimit_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fxcast/fxcast/limiter"
	"github.com/fxcast/fxcast/limiter/httplimit"
)

func ExampleSetHeaders() {
	h := http.Header{}
	httplimit.SetHeaders(h, limiter.Decision{Tiers: []limiter.TierState{
		{Limit: limiter.Limit{Name: "minute", Max: 60, Window: time.Minute}, Reset: 22100 * time.Millisecond, RetryAfter: 22100 * time.Millisecond},
		{Limit: limiter.Limit{Name: "hour", Max: 1000, Window: time.Hour}, Remaining: 412, Reset: time.Second},
	}})
	for _, name := range []string{"RateLimit-Policy", "RateLimit", "Retry-After"} {
		fmt.Printf("%s: %s\n", name, h.Get(name))
	}
	// Output:
	// RateLimit-Policy: "minute";q=60;w=60, "hour";q=1000;w=3600
	// RateLimit: "minute";r=0;t=23, "hour";r=412;t=1
	// Retry-After: 23
}

func TestFieldsQuote(t *testing.T) {
	h := http.Header{}
	httplimit.SetHeaders(h, limiter.Decision{Tiers: []limiter.TierState{
		{Limit: limiter.Limit{Name: `a"b\c`, Max: 1 << 62, Window: 1500 * time.Millisecond}}, {Limit: limiter.Limit{Max: 5, Window: 90 * time.Second}},
	}})
	got := h.Get("RateLimit-Policy")
	if want := `"a\"b\\c";q=999999999999999;w=2, "90s";q=5;w=90`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestMiddleware(t *testing.T) {
	served := 0
	next := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { served++ })
	h := httplimit.Middleware(httplimit.Config{
		Limiter: limiter.New(limiter.Config{}),
		Tiers: func(r *http.Request) []limiter.Limit {
			switch {
			case r.URL.Path == "/free", r.Method == http.MethodOptions, r.Header.Get("User") == "user:root":
				return nil
			case r.URL.Path == "/two":
				return limiter.RequestTiers(2, 100, 0)
			}
			return limiter.RequestTiers(3, 0, 0)
		},
		Subject: func(r *http.Request) string { return r.Header.Get("User") },
		Cost:    func(r *http.Request) int64 { return int64(len(r.URL.Query()["c"])) },

		ExemptAddresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},

		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")},
	})(next)
	call := func(method, target, remote, user, forwarded string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, target, nil)
		r.RemoteAddr = remote
		r.Header.Set("User", user)
		if forwarded != "" {
			r.Header.Set("X-Forwarded-For", forwarded)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	for i := range 3 {
		w := call("GET", "/", "192.0.2.1:1", "", "")
		if w.Code != 200 || w.Header().Get("RateLimit") != fmt.Sprintf(`"minute";r=%d;t=60`, 2-i) || w.Header().Get("Retry-After") != "" {
			t.Fatalf("call %d: %d %v", i, w.Code, w.Header())
		}
	}
	w := call("GET", "/", "192.0.2.1:2", "", "")
	if w.Code != 429 || w.Header().Get("Content-Type") != "application/problem+json" || w.Header().Get("Retry-After") != "60" || served != 3 {
		t.Fatalf("fourth: %d %v, %d served", w.Code, w.Header(), served)
	}
	var problem struct {
		Type, Title, Detail string
		Status              int
		Violated            []string `json:"violated-policies"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &problem); err != nil || problem.Status != 429 || !slices.Equal(problem.Violated, []string{"minute"}) ||
		problem.Type != "https://iana.org/assignments/http-problem-types#quota-exceeded" || problem.Title == "" || problem.Detail == "" {
		t.Errorf("problem %s, %v", w.Body, err)
	}
	for _, tc := range []struct {
		name                                    string
		method, target, remote, user, forwarded string
		want                                    int
	}{
		{"another address", "GET", "/", "192.0.2.2:1", "", "", 200},
		{"the same address behind a proxy", "GET", "/", "127.0.0.1:1", "", "192.0.2.1", 429},
		{"a forged header", "GET", "/", "192.0.2.1:1", "", "192.0.2.77", 429},
		{"a forged entry behind a proxy", "GET", "/", "127.0.0.1:1", "", "192.0.2.77, 192.0.2.1", 429},
		{"a user on that address", "GET", "/", "192.0.2.1:1", "user:1", "", 200},
		{"exempt method", "OPTIONS", "/", "192.0.2.1:1", "", "", 200},
		{"no tiers", "GET", "/free", "192.0.2.1:1", "", "", 200},
		{"exempt address", "GET", "/?c=1&c=2&c=3&c=4", "10.1.2.3:1", "", "", 200},
		{"exempt subject", "GET", "/?c=1&c=2&c=3&c=4", "192.0.2.1:1", "user:root", "", 200},
		{"too much at once", "GET", "/?c=1&c=2&c=3&c=4", "192.0.2.1:1", "user:2", "", 429},
		{"cost 3", "GET", "/?c=1&c=2&c=3", "192.0.2.1:1", "user:2", "", 200},
		{"one more", "GET", "/", "192.0.2.1:1", "user:2", "", 429},
		{"tiers of another route", "GET", "/two", "192.0.2.1:1", "user:2", "", 200},
		{"IPv6", "GET", "/?c=1&c=2&c=3", "[2001:db8::1]:1", "", "", 200},
		{"the same /64", "GET", "/", "[2001:db8::ffff:1]:1", "", "", 429},
		{"another /64", "GET", "/", "[2001:db8:0:1::1]:1", "", "", 200},
	} {
		if w := call(tc.method, tc.target, tc.remote, tc.user, tc.forwarded); w.Code != tc.want {
			t.Errorf("%s: %d %s, want %d", tc.name, w.Code, w.Body, tc.want)
		} else if tc.name == "too much at once" && w.Header().Get("Retry-After") != "" {
			t.Errorf("%s: Retry-After %s, want none", tc.name, w.Header().Get("Retry-After"))
		}
	}
}

func TestDefaultMiddleware(t *testing.T) {
	h := httplimit.Middleware(httplimit.Config{Limiter: limiter.New(limiter.Config{})})(http.NotFoundHandler())
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if got, want := w.Header().Get("RateLimit-Policy"), `"minute";q=60;w=60, "hour";q=1000;w=3600, "day";q=10000;w=86400`; got != want {
		t.Errorf("RateLimit-Policy: %s, want %s", got, want)
	}
}

func TestProblemOfPolicy(t *testing.T) {
	w := httptest.NewRecorder()
	httplimit.WriteProblem(w, limiter.Decision{Source: limiter.FromPolicy, Tiers: []limiter.TierState{{Limit: limiter.Limit{Max: 1, Window: time.Second}, RetryAfter: time.Second}}})
	if w.Code != 503 || w.Header().Get("Retry-After") != "1" || !strings.Contains(w.Body.String(), "temporary-reduced-capacity") {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
}

func TestClientAddress(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8"), netip.MustParsePrefix("::ffff:172.16.0.0/108")}
	for _, tc := range []struct {
		remote    string
		forwarded []string
		want      string
		subject   string
	}{
		{"192.0.2.1:80", nil, "192.0.2.1", "ip:192.0.2.1"},
		{"192.0.2.1:80", []string{"198.51.100.1"}, "192.0.2.1", "ip:192.0.2.1"},
		{"10.0.0.1:80", nil, "10.0.0.1", "ip:10.0.0.1"},
		{"10.0.0.1:80", []string{"198.51.100.1"}, "198.51.100.1", "ip:198.51.100.1"},
		{"10.0.0.1:80", []string{"1.2.3.4, 198.51.100.1 ,10.0.0.2"}, "198.51.100.1", "ip:198.51.100.1"},
		{"10.0.0.1:80", []string{"1.2.3.4", "198.51.100.1", "10.0.0.2, 10.0.0.3"}, "198.51.100.1", "ip:198.51.100.1"},
		{"10.0.0.1:80", []string{"10.0.0.9, 10.0.0.2"}, "10.0.0.9", "ip:10.0.0.9"},
		{"10.0.0.1:80", []string{"1.2.3.4, unknown, 10.0.0.2"}, "10.0.0.2", "ip:10.0.0.2"},
		{"10.0.0.1:80", []string{"garbage"}, "10.0.0.1", "ip:10.0.0.1"},
		{"10.0.0.1:80", []string{",, ,"}, "10.0.0.1", "ip:10.0.0.1"},
		{"10.0.0.1:80", []string{"198.51.100.1:1234"}, "198.51.100.1", "ip:198.51.100.1"},
		{"[fd00::1]:80", []string{"[2001:db8:1:2:3::4]:99"}, "2001:db8:1:2:3::4", "ip:2001:db8:1:2::/64"},
		{"[fd00::1]:80", []string{"2001:db8::1%eth0"}, "2001:db8::1", "ip:2001:db8::/64"},
		{"[::ffff:172.16.5.5]:80", []string{"::ffff:198.51.100.7"}, "198.51.100.7", "ip:198.51.100.7"},
		{"@", []string{"198.51.100.1"}, "invalid IP", "ip:unknown"},
		{"", nil, "invalid IP", "ip:unknown"},
	} {
		r := &http.Request{RemoteAddr: tc.remote, Header: http.Header{"X-Forwarded-For": tc.forwarded}}
		got := httplimit.ClientAddress(r, trusted)
		if got.String() != tc.want || httplimit.AddressSubject(got) != tc.subject {
			t.Errorf("%s, X-Forwarded-For %q: %v, %s, want %s, %s", tc.remote, tc.forwarded, got, httplimit.AddressSubject(got), tc.want, tc.subject)
		}
		if httplimit.FromTrustedProxy(r, trusted) != (strings.HasPrefix(tc.remote, "10.") || strings.HasPrefix(tc.remote, "[")) {
			t.Errorf("%s: trusted = %v", tc.remote, httplimit.FromTrustedProxy(r, trusted))
		}
	}
}
