package web_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// A spec is a document whose schemas are held to more than they promise: an object
// may have no field that is not described.
type spec struct {
	t    *testing.T
	root map[string]any
	c    *jsonschema.Compiler
}

func readSpec(t *testing.T, text string) *spec {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	s := &spec{t: t, root: doc.(map[string]any), c: jsonschema.NewCompiler()}
	s.c.AssertFormat()
	closeObjects(doc)
	if err := s.c.AddResource("spec.json", doc); err != nil {
		t.Fatal(err)
	}
	return s
}

// closeObjects lets schemas of objects that name properties allow no others.
func closeObjects(v any) {
	switch v := v.(type) {
	case map[string]any:
		if v["type"] == "object" && v["properties"] != nil && v["additionalProperties"] == nil {
			v["additionalProperties"] = false
		}
		for _, child := range v {
			closeObjects(child)
		}
	case []any:
		for _, child := range v {
			closeObjects(child)
		}
	}
}

// check holds a JSON text to the schema at a JSON pointer.
func (s *spec) check(what, pointer, text string) {
	s.t.Helper()
	schema, err := s.c.Compile("spec.json#" + pointer)
	if err != nil {
		s.t.Errorf("%s: the schema at %s: %v", what, pointer, err)
		return
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		s.t.Errorf("%s: %v: %.200s", what, err, text)
		return
	}
	if err := schema.Validate(value); err != nil {
		s.t.Errorf("%s is not as described at %s: %v\n%.1000s", what, pointer, err, text)
	}
}

func pointer(parts ...string) string {
	var b strings.Builder
	for _, p := range parts {
		b.WriteString("/" + strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D").Replace(p))
	}
	return b.String()
}

// TestOpenAPI: the document is valid OpenAPI 3.1, describes every route and no
// other, and real answers of every operation are as it says.
func TestOpenAPI(t *testing.T) {
	t.Parallel()
	n := startNode(t, nil)
	public, admin := newHTTPClient(t, n.public), newHTTPClient(t, n.admin)
	served := public.do("GET", "/openapi.json", "", nil)
	if served.status != 200 || served.header.Get("Content-Type") != "application/json" || served.header.Get("ETag") == "" {
		t.Fatalf("openapi.json: %d %v", served.status, served.header)
	}
	if a := public.do("GET", "/openapi.json", "", map[string][]string{"If-None-Match": {served.header.Get("ETag")}}); a.status != 304 || a.body != "" {
		t.Errorf("asked again: %d", a.status)
	}
	if a := admin.do("GET", "/openapi.json", "", bearer(adminToken)); a.body != served.body {
		t.Error("the admin listener serves another document")
	}
	doc, err := openapi3.NewLoader().LoadFromData([]byte(served.body))
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}

	described := map[string]bool{}
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			described[method+" "+path] = false
		}
	}
	publicRoutes, adminRoutes := n.web.Routes()
	for _, pattern := range slices.Concat(publicRoutes, adminRoutes) {
		if strings.HasPrefix(pattern, "/debug/pprof/") { // net/http/pprof describes itself
			continue
		}
		if pattern == "/" {
			pattern = "GET /"
		}
		if _, ok := described[pattern]; !ok {
			t.Errorf("%s is not described in openapi.go", pattern)
		}
		described[pattern] = true
	}
	for name, is := range described {
		if !is {
			t.Errorf("%s is described, and not in routes.go", name)
		}
	}

	// Real answers.
	s := readSpec(t, served.body)
	seen := map[string]bool{}
	pathOf := func(path string) string {
		path, _, _ = strings.Cut(path, "?")
		if s.root["paths"].(map[string]any)[path] != nil {
			return path
		}
		for known := range doc.Paths.Map() {
			pattern := "^" + regexp.MustCompile(`\\\{\w+\\\}`).ReplaceAllString(regexp.QuoteMeta(known), "[^/]+") + "$"
			if known != "/" && regexp.MustCompile(pattern).MatchString(path) {
				return known
			}
		}
		t.Fatalf("no description of %s", path)
		return ""
	}
	call := func(status int, method, path, body, token string) answer {
		t.Helper()
		on := public
		known := pathOf(path)
		if op := doc.Paths.Value(known).GetOperation(method); op.Servers != nil {
			on = admin
		}
		header := bearer(token)
		if token == "" {
			header = nil
		}
		a := on.do(method, path, body, header)
		if a.status != status {
			t.Errorf("%s %s: %d %.300s, want %d", method, path, a.status, a.body, status)
			return a
		}
		if status < 400 {
			seen[method+" "+known] = true
		}
		kind, _, _ := strings.Cut(a.header.Get("Content-Type"), ";")
		where := []string{"paths", known, strings.ToLower(method), "responses", fmt.Sprint(status)}
		switch {
		case kind == "application/problem+json":
			response := doc.Paths.Value(known).GetOperation(method).Responses.Value(fmt.Sprint(status))
			if response == nil {
				t.Errorf("%s %s may answer %d, which is not described", method, known, status)
			}
			s.check(method+" "+path, "/components/schemas/Problem", a.body)
		case kind == "application/json":
			s.check(method+" "+path, pointer(append(where, "content", kind, "schema")...), a.body)
			if body != "" && status < 300 {
				s.check("the body of "+path, pointer("paths", known, strings.ToLower(method), "requestBody", "content", kind, "schema"), body)
			}
		case status != 204:
			response := doc.Paths.Value(known).GetOperation(method).Responses.Value(fmt.Sprint(status))
			if response == nil || response.Value.Content[kind] == nil {
				t.Errorf("%s %s answers %d %s, which is not described", method, known, status, kind)
			}
		}
		return a
	}
	token, sess := n.signIn("lea", "user")
	c, welcome := n.connect(token)
	call(200, "POST", "/api/v1/quotes", `[{"symbol":"EURUSD","bid":1.08450,"ask":"1.0846"},{"currency":"USD","bid":"2","ask":1,"ts":1700000000000}]`, publishToken)
	eventually(t, "the quote is here", func() bool { return n.lastQuotes() > 0 })
	eventually(t, "the symbol is listed", func() bool { return call(200, "GET", "/api/v1/symbols", "", "").body != "[]\n" })
	call(200, "GET", "/api/v1/quotes?symbols=*", "", token)
	call(400, "GET", "/api/v1/quotes?symbols=FOO/BAR", "", token)
	call(200, "GET", "/api/v1/quotes/EUR/USD/history?limit=5", "", token)
	call(404, "GET", "/api/v1/quotes/FOO/BAR/history", "", token)
	call(401, "GET", "/api/v1/quotes", "", "")
	call(401, "GET", "/api/v1/stream", "", "")
	call(426, "GET", "/ws", "", token)
	call(401, "POST", "/api/v1/quotes", "{}", token)
	guest := call(201, "POST", "/api/v1/session/guest", "", "")
	call(200, "POST", "/api/v1/session/guest", "", "") // its cookie is there now
	_ = guest
	call(200, "GET", "/api/v1/session", "", "")
	call(200, "POST", "/api/v1/ws-ticket", "", "")
	call(204, "DELETE", "/api/v1/session", "", "")
	other, _ := n.signIn("max", "user")
	fresh := newHTTPClient(t, n.public)
	s.check("a bearer token for a cookie", pointer("paths", "/api/v1/session", "post", "responses", "200", "content", "application/json", "schema"),
		fresh.do("POST", "/api/v1/session", "", bearer(other)).body)
	seen["POST /api/v1/session"] = true
	for _, path := range []string{"/livez", "/readyz", "/openapi.json", "/asyncapi.json", "/", "/metrics"} {
		call(200, "GET", path, "", "")
	}

	made := call(201, "POST", "/api/v1/sessions", `{"user_id":"123","role":"user","data":{"a":[1]},"ttl_seconds":60}`, adminToken)
	call(400, "POST", "/api/v1/sessions", `{"user":"123"}`, adminToken)
	call(413, "POST", "/api/v1/sessions", `{"user_id":"`+strings.Repeat("x", 70<<10)+`"}`, adminToken)
	id := regexp.MustCompile(`"session_id":"(\w+)"`).FindStringSubmatch(made.body)[1]
	call(200, "GET", "/api/v1/sessions?user_id=123", "", adminToken)
	call(200, "GET", "/api/v1/redis/session/"+sess.ID, "", adminToken)
	call(404, "GET", "/api/v1/redis/session/none", "", adminToken)
	call(401, "GET", "/api/v1/redis/session/none", "", token)
	call(200, "DELETE", "/api/v1/redis/session/"+id, "", adminToken)
	call(200, "DELETE", "/api/v1/sessions?user_id=123", "", adminToken)
	if err := n.rdb.ConfigSet(t.Context(), "slowlog-log-slower-than", "0").Err(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"health", "stats", "memory", "slowlog", "config", "cache/hit-ratio", "rate-limit/offenders"} {
		call(200, "GET", "/api/v1/redis/"+name, "", adminToken)
	}
	call(400, "GET", "/api/v1/redis/slowlog?limit=0", "", adminToken)
	call(200, "POST", "/api/v1/redis/cache/invalidate", `{"pattern":"*","namespace":"history"}`, adminToken)
	call(200, "POST", "/api/v1/redis/pubsub/publish", `{"channel":"news","message":{"a":1}}`, adminToken)
	for _, body := range []string{`{"key":"user:1","limit":1,"window_seconds":60}`, `{"key":"user:1","limit":1,"window_seconds":60,"cost":2,"peek":true}`} {
		call(200, "POST", "/api/v1/redis/rate-limit/check", body, adminToken)
	}
	call(400, "POST", "/api/v1/redis/rate-limit/check", `{}`, adminToken)
	eventually(t, "the rejected quote is listed", func() bool { return call(200, "GET", "/api/v1/feed/rejected", "", adminToken).body != "[]\n" })
	call(200, "GET", "/api/v1/connections", "", adminToken)
	call(404, "DELETE", "/api/v1/connections/none", "", adminToken)
	call(200, "DELETE", "/api/v1/connections/"+welcome.ConnID, "", adminToken)
	c.wantClose(1008)
	for name := range described {
		if name != "GET /ws" && name != "GET /api/v1/stream" && !seen[name] { // those are described by AsyncAPI
			t.Errorf("no real answer of %s was tried", name)
		}
	}
	n.redis.Kill()
	call(503, "GET", "/api/v1/redis/stats", "", adminToken)
	call(200, "GET", "/api/v1/redis/health", "", adminToken)
	call(200, "GET", "/api/v1/redis/cache/hit-ratio", "", adminToken)
	call(200, "GET", "/api/v1/connections", "", adminToken)
	eventually(t, "it is not ready", func() bool { return public.do("GET", "/readyz", "", nil).status == 503 })
	call(503, "GET", "/readyz", "", "")
}

// TestAsyncAPI: what is said on a real connection is as described, and the document
// has every op, type, error code and close code of docs/protocol.md and of the code.
func TestAsyncAPI(t *testing.T) {
	t.Parallel()
	n := startNode(t, func(c *nodeConfig) {
		c.channels, c.commands, c.heartbeat, c.staleAfter = []string{"news"}, 12, 100*time.Millisecond, time.Second
	})
	served := newHTTPClient(t, n.public).do("GET", "/asyncapi.json", "", nil)
	if served.status != 200 || served.header.Get("Content-Type") != "application/json" {
		t.Fatalf("asyncapi.json: %d %v", served.status, served.header)
	}
	s := readSpec(t, served.body)
	messages := s.root["components"].(map[string]any)["messages"].(map[string]any)
	server, client := map[string]string{}, map[string]string{} // type or op → component
	for key, m := range messages {
		payload := m.(map[string]any)["payload"].(map[string]any)["properties"].(map[string]any)
		if typ, ok := payload["type"].(map[string]any); ok {
			server[typ["const"].(string)] = key
		} else {
			client[payload["op"].(map[string]any)["const"].(string)] = key
		}
		for i, e := range m.(map[string]any)["examples"].([]any) {
			text, _ := json.Marshal(e.(map[string]any)["payload"])
			s.check(fmt.Sprintf("example %d of %s", i, key), pointer("components", "messages", key, "payload"), string(text))
		}
	}
	seen := map[string]int{}
	token, _ := n.signIn("reader", "user")
	c := n.dial(token)
	next := func() message {
		t.Helper()
		c.SetReadDeadline(time.Now().Add(patience))
		f, err := c.read() // client.next leaves heartbeats out
		if err != nil {
			t.Fatal(err)
		}
		m := message{raw: string(f.payload)}
		if err := json.Unmarshal(f.payload, &m); err != nil {
			t.Fatalf("%q: %v", f.payload, err)
		}
		key, ok := server[m.Type]
		if !ok {
			t.Fatalf("type %q is not described: %s", m.Type, m.raw)
		}
		s.check("a message", pointer("components", "messages", key, "payload"), m.raw)
		seen[m.Type]++
		return m
	}
	until := func(typ string) message {
		t.Helper()
		for {
			if m := next(); m.Type == typ {
				return m
			}
		}
	}
	say := func(text string) {
		t.Helper()
		var op struct{ Op string }
		if err := json.Unmarshal([]byte(text), &op); err != nil {
			t.Fatal(err)
		}
		s.check("a command", pointer("components", "messages", client[op.Op], "payload"), text)
		c.say(text)
	}
	until("welcome")
	n.publish([3]string{"EUR/USD", "1.08450", "1.0846"})
	eventually(t, "the quote is here", func() bool { return n.lastQuotes() == 1 })
	say(`{"op":"subscribe","id":1,"symbols":["EURUSD","GBP/*","FOO/BAR"],"channels":["news"],"max_rate":50,"mode":"latest"}`)
	until("ack")
	until("snapshot")
	n.publish([3]string{"EUR/USD", "1.08451", "1.0846"})
	until("update")
	until("status")
	until("heartbeat")
	if err := n.rdb.Publish(t.Context(), "news", `{"a":1}`).Err(); err != nil {
		t.Fatal(err)
	}
	until("message")
	say(`{"op":"list","id":"two"}`)
	until("list")
	say(`{"op":"ping"}`)
	until("pong")
	say(`{"op":"unsubscribe","id":3,"symbols":["EUR/USD","USD/JPY"]}`)
	until("ack")
	say(`{"op":"subscribe","id":4,"symbols":["EUR/USD"],"mode":"all"}`)
	snapshot := until("snapshot")
	var at struct {
		Data []struct {
			Epoch string
			Seq   uint64
		}
	}
	if err := json.Unmarshal([]byte(snapshot.raw), &at); err != nil || len(at.Data) != 1 {
		t.Fatal(err, snapshot.raw)
	}
	n.publish([3]string{"EUR/USD", "1.08452", "1.0846"})
	say(fmt.Sprintf(`{"op":"subscribe","id":5,"symbols":["EUR/USD"],"mode":"all","since":{"EUR/USD":{"epoch":%q,"seq":%d}}}`, at.Data[0].Epoch, at.Data[0].Seq))
	until("resumed")
	for range 40 {
		c.say(`{"op":"nothing"}`)
	}
	until("error")
	renewed, _ := n.signIn("renewed", "user")
	if next := n.dial(renewed); next != nil {
		c.Close()
		c = next
	}
	until("welcome")
	h := newHTTPClient(t, n.public)
	h.do("POST", "/api/v1/session", "", bearer(renewed)).into(t, 200, new(any))
	until("session")
	n.web.StopAccepting()
	if err := n.hub.Drain(t.Context(), 10*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	until("closing")
	for typ := range server {
		if seen[typ] == 0 {
			t.Errorf("no real %s was seen", typ)
		}
	}

	// The page, and the document.
	text, err := os.ReadFile("../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	section := func(title string) string {
		_, rest, ok := strings.Cut(string(text), title+"\n")
		if !ok {
			t.Fatalf("docs/protocol.md has no %q", title)
		}
		part, _, _ := strings.Cut(rest, "\n#")
		return part
	}
	same := func(what string, page []string, document []string) {
		t.Helper()
		slices.Sort(page)
		slices.Sort(document)
		if page = slices.Compact(page); !slices.Equal(page, document) {
			t.Errorf("%s: docs/protocol.md has %q, asyncapi.json %q", what, page, document)
		}
	}
	find := func(pattern, in string) (found []string) {
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(in, -1) {
			found = append(found, m[1])
		}
		return found
	}
	same("ops", find(`"op":"(\w+)"`, section("### What a client sends")), slices.Collect(maps.Keys(client)))
	var types []string
	for _, row := range find("(?m)^\\| (`[^|]*) \\|", section("### What the server sends")) {
		types = append(types, find("`(\\w+)`", row)...)
	}
	same("types", types, slices.Collect(maps.Keys(server)))
	enum := func(component, property string) (all []string) {
		p := messages[component].(map[string]any)["payload"].(map[string]any)["properties"].(map[string]any)[property].(map[string]any)
		for _, v := range p["enum"].([]any) {
			all = append(all, fmt.Sprint(v))
		}
		return all
	}
	same("error codes", find("(?m)^\\| `(\\w+)` \\|", section("### Error codes")), enum("error", "code"))
	var codes []string
	for _, row := range find(`(?m)^\| ([0-9, ]+) \|`, section("### Close codes")) {
		codes = append(codes, find(`(\d+)`, row)...)
	}
	same("close codes", codes, enum("closing", "code"))
	var listed []string
	for _, c := range s.root["channels"].(map[string]any)["ws"].(map[string]any)["x-close-codes"].([]any) {
		listed = append(listed, fmt.Sprint(c.(map[string]any)["code"]))
	}
	same("close codes of the channel", slices.Clone(codes), listed)
	// Every field that the page names in a message is a property of it.
	for _, line := range strings.Split(section("### What the server sends"), "\n") {
		m := regexp.MustCompile("^\\| `(\\w+)` \\| (.*) \\|$").FindStringSubmatch(line)
		if m == nil || server[m[1]] == "" || m[1] == "welcome" || m[1] == "status" {
			continue
		}
		payload, _ := json.Marshal(messages[server[m[1]]])
		all, _ := json.Marshal(s.root["components"].(map[string]any)["schemas"])
		for _, field := range find("`(\\w+)`", m[2]) {
			if field != "welcome" && field != "heartbeat_ms" && field != "all" && !bytes.Contains(payload, []byte(`"`+field+`"`)) && !bytes.Contains(all, []byte(`"`+field+`"`)) {
				t.Errorf("%s: the page names %s, the document does not", m[1], field)
			}
		}
	}
}
