// Package fxcast_test holds the tests of the repository as a whole.
package fxcast_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/fxcast/fxcast"

// leaves are the packages that know nothing of each other: cmd and web put
// them together. A package below a leaf belongs to it.
var leaves = []string{"hub", "feed", "limiter", "session", "cache", "redisadmin", "nodes"}

// ground is what every package may import, and what imports nothing of ours
// but itself: the wire that clients see, the one way to talk to Redis, and the
// files of the JavaScript client, which are served with the page.
var ground = []string{"protocol", "internal/redislink", "clients/js"}

// apart are directories whose packages are modules of their own.
var apart = []string{"bench", "deploy/check"}

// webtest runs a node for the tests of web and its rooms. It is no package of its own
// but code of tests that has one home: it may import what they may, and only they it.
const webtest = "web/internal/webtest"

// programtest is what the tests of the broadcaster share; nothing but tests imports it.
const programtest = "cmd/broadcaster/internal/programtest"

// only names who may import something, by the beginning of the path within the
// module. cmd/loadgen plays the clients and may import what they need.
var only = map[string][]string{
	"github.com/coder/websocket":  {"web", "internal", "client", "clients", "feed/vendor"},
	"github.com/caarlos0/env/v11": {"cmd"},
	"github.com/redis/go-redis":   {"cmd", "feed", "limiter", "session", "cache", "redisadmin", "nodes", "internal"},
	"github.com/alicebob":         {"cmd", "internal"},
	"net/http":                    {"cmd", "web", "session/httpsession", "limiter/httplimit", "feed/vendor", "internal", "client", "clients"}, // cookies and limit headers
}

type listed struct {
	ImportPath   string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

// TestImportDirection holds cmd → web → leaves: see the table in
// ARCHITECTURE.md.
func TestImportDirection(t *testing.T) {
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports,TestImports,XTestImports", "./...")
	out, err := cmd.Output()
	if err != nil {
		exit, _ := errors.AsType[*exec.ExitError](err)
		t.Fatalf("go list: %v\n%s", err, exit.Stderr)
	}
	count := 0
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; count++ {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		for _, fault := range p.faults() {
			t.Error(fault)
		}
	}
	if count < len(leaves) {
		t.Errorf("go list named %d packages only", count)
	}
}

// faults returns what is wrong with the imports of a package.
func (p listed) faults() (faults []string) {
	path, _ := strings.CutPrefix(p.ImportPath, module)
	path = strings.TrimPrefix(path, "/")
	top, _, _ := strings.Cut(path, "/")
	switch {
	case path == "", top == "cmd", top == "web", top == "internal", top == "client", top == "clients", slices.Contains(leaves, top), isGround(path):
	default:
		return []string{p.ImportPath + " has no place in the import table"}
	}
	bad := func(imported, why string) { faults = append(faults, p.ImportPath+" imports "+imported+": "+why) }
	for _, imp := range p.Imports {
		own, ours := strings.CutPrefix(imp, module+"/")
		to, _, _ := strings.Cut(own, "/")
		switch {
		case !ours:
		case isGround(path):
			if own != path {
				bad(imp, "the ground that all stand on imports nothing of ours")
			}
		case isGround(own):
		case own == webtest, own == programtest, to == "clients" && top != "clients":
			bad(imp, "it is for tests")
		case to == "internal":
			if top != "internal" && path != webtest && path != programtest {
				bad(imp, "it is for tests")
			}
		case to == "client" && (top == "cmd" || top == "internal"):
		case to == "client" && top != "client":
			bad(imp, "only programs and tools are clients")
		case top == "cmd" && to != "cmd", top == "web" && to != "cmd", top == to && top != "hub":
		case top == "internal":
			bad(imp, "test helpers know no package of ours but the client")
		default:
			bad(imp, "the direction is cmd → web → leaves, and leaves do not know each other")
		}
		for what, who := range only {
			if (imp == what || strings.HasPrefix(imp, what+"/")) && !within(path, who) && path != "cmd/loadgen" && path != webtest {
				bad(imp, "only "+strings.Join(who, ", ")+" may")
			}
		}
		first, _, _ := strings.Cut(imp, "/")
		if top == "hub" && !ours && strings.Contains(first, ".") && !strings.HasPrefix(imp, "github.com/prometheus/client_") {
			bad(imp, "hub takes the standard library and prometheus only")
		}
		if path == "feed" && !ours && strings.Contains(first, ".") {
			bad(imp, "the price itself takes the standard library only")
		}
	}
	// Tests of a leaf are held to the same direction.
	if slices.Contains(leaves, top) {
		for _, imp := range slices.Concat(p.TestImports, p.XTestImports) {
			own, ours := strings.CutPrefix(imp, module+"/")
			if to, _, _ := strings.Cut(own, "/"); ours && to != top && to != "internal" && !isGround(own) {
				bad(imp, "tests of a leaf do not use another part either")
			}
		}
	}
	return faults
}

// isGround reports whether a path within the module is part of the ground.
func isGround(path string) bool {
	return within(path, ground)
}

// within reports whether a path is one of the given ones or below one.
func within(path string, roots []string) bool {
	return slices.ContainsFunc(roots, func(root string) bool { return path == root || strings.HasPrefix(path, root+"/") })
}

// TestImportRules tries the rules on imports that must not be.
func TestImportRules(t *testing.T) {
	for _, tc := range []struct {
		from, imp string
		ok        bool
	}{
		{"cmd/broadcaster", module + "/web", true},
		{"cmd/broadcaster", module + "/feed/simulator", true},
		{"cmd/broadcaster", module + "/cmd/broadcaster/internal/node", true},
		{"cmd/broadcaster", module + "/cmd/broadcaster/internal/programtest", false},
		{"cmd/broadcaster", "github.com/alicebob/miniredis/v2", true},
		{"cmd/broadcaster", "github.com/coder/websocket", false},
		{"cmd/loadgen", "github.com/coder/websocket", true},
		{"web", module + "/hub", true},
		{"web", "github.com/coder/websocket", true},
		{"web", module + "/cmd/broadcaster", false},
		{"web", module + "/web/internal/webtest", false},
		{"web", module + "/internal/redistest", false},
		{"web/internal/webtest", module + "/web", true},
		{"web/internal/webtest", module + "/internal/redistest", true},
		{"cmd/broadcaster/internal/programtest", module + "/internal/redistest", true},
		{"web/internal/webtest", "github.com/redis/go-redis/v9", true},
		{"web", "github.com/alicebob/miniredis/v2", false},
		{"feed/simulator", module + "/feed", true},
		{"feed", module + "/hub", false},
		{"feed", "github.com/redis/go-redis/v9", false},
		{"feed", "github.com/prometheus/client_golang/prometheus", false},
		{"feed/accept", "github.com/redis/go-redis/v9", true},
		{"session", module + "/web", false},
		{"limiter", module + "/session", false},
		{"cache", "net/http", false},
		{"feed", "net/http/httptest", false},
		{"feed/accept", "net/http", false},
		{"feed/vendor", "net/http", true},
		{"feed/vendor", "github.com/coder/websocket", true},
		{"feed/vendor", module + "/feed", true},
		{"session", "net/http", false},
		{"session/httpsession", "net/http", true},
		{"session/httpsession", module + "/session", true},
		{"limiter", module + "/internal/redistest", false},
		{"internal/redistest", module + "/feed", false},
		{"hub", module + "/protocol", true},
		{"limiter", module + "/internal/redislink", true},
		{"web/live", module + "/protocol", true},
		{"protocol", module + "/hub", false},
		{"protocol", module + "/internal/redislink", false},
		{"internal/redislink", module + "/feed", false},
		{"internal/redislink", module + "/protocol", false},
		{"hub", "github.com/prometheus/client_golang/prometheus", true},
		{"hub", "sync/atomic", true},
		{"hub", "golang.org/x/sys/unix", false},
		{"hub", "github.com/redis/go-redis/v9", false},
		{"clients/conformance", module + "/protocol", true},
		{"clients/conformance", module + "/web", false},
		{"clients/conformance/server", module + "/clients/conformance", true},
		{"cmd/broadcaster", module + "/clients/conformance", false},
		{"web", module + "/clients/js", true},
		{"clients/js", module + "/web", false},
		{"cmd/broadcaster", module + "/client", true},
		{"client", module + "/protocol", true},
		{"client", module + "/feed", false},
		{"client", module + "/clients/conformance", false},
		{"web", module + "/client", false},
		{"internal/faulttest", module + "/client", true},
		{"utils", "fmt", false},
	} {
		faults := listed{ImportPath: module + "/" + tc.from, Imports: []string{tc.imp}}.faults()
		if (len(faults) == 0) != tc.ok {
			t.Errorf("%s imports %s: %q, want allowed %v", tc.from, tc.imp, faults, tc.ok)
		}
	}
	x := listed{ImportPath: module + "/hub", XTestImports: []string{module + "/feed", module + "/hub", module + "/internal/redistest"}}
	if faults := x.faults(); len(faults) != 1 {
		t.Errorf("a test of hub that imports feed: %q, want one fault", faults)
	}
}
