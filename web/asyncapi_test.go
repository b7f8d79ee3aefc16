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

	"github.com/fxcast/fxcast/protocol"
	"github.com/fxcast/fxcast/web/internal/webtest"
)

// TestAsyncAPI checks the messages of a real connection against the document. The document must
// have every op, type, error code and close code of docs/protocol.md and of the code.
func TestAsyncAPI(t *testing.T) {
	t.Parallel()
	n := webtest.Start(t, func(c *webtest.Config) {
		c.Channels, c.Commands, c.Heartbeat, c.StaleAfter = []string{"news"}, 12, 100*time.Millisecond, time.Second
	})
	served := webtest.NewHTTPClient(t, n.Public).Do("GET", "/asyncapi.json", "", nil)
	if served.Status != 200 || served.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("asyncapi.json: %d %v", served.Status, served.Header)
	}
	s := readSpec(t, served.Body)
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
	token, _ := n.SignIn("reader", "user")
	c := n.Dial(token)
	next := func() webtest.Message {
		t.Helper()
		c.SetReadDeadline(time.Now().Add(webtest.Patience))
		f, err := c.ReadFrame() // client.next would skip heartbeats
		if err != nil {
			t.Fatal(err)
		}
		m := webtest.Message{Raw: string(f.Payload)}
		if err := json.Unmarshal(f.Payload, &m); err != nil {
			t.Fatalf("%q: %v", f.Payload, err)
		}
		key, ok := server[m.Type]
		if !ok {
			t.Fatalf("type %q is not described: %s", m.Type, m.Raw)
		}
		s.check("a message", pointer("components", "messages", key, "payload"), m.Raw)
		seen[m.Type]++
		return m
	}
	until := func(typ string) webtest.Message {
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
		c.Say(text)
	}
	until("welcome")
	n.Publish([3]string{"EUR/USD", "1.08450", "1.0846"})
	webtest.Eventually(t, "the quote is here", func() bool { return n.LastQuotes() == 1 })
	say(`{"op":"subscribe","id":1,"symbols":["EURUSD","GBP/*","FOO/BAR"],"channels":["news"],"max_rate":50,"mode":"latest"}`)
	until("ack")
	until("snapshot")
	n.Publish([3]string{"EUR/USD", "1.08451", "1.0846"})
	until("update")
	until("status")
	until("heartbeat")
	if err := n.RDB.Publish(t.Context(), "news", `{"a":1}`).Err(); err != nil {
		t.Fatal(err)
	}
	until("message")
	say(`{"op":"subscribe","symbols":["EUR/USD"],"candles":"1m","day":true}`)
	until("ack")
	n.Hub.Candle("EUR/USD", "1m", protocol.Candle{Start: time.Unix(0, 0), Bid: protocol.OHLC{Open: "1", High: "1", Low: "1", Close: "1"}, Ask: protocol.OHLC{Open: "1", High: "1", Low: "1", Close: "1"}, Ticks: 1, Open: true})
	until("candle")
	n.Hub.Day("EUR/USD", protocol.Day{Since: time.Unix(0, 0), Open: "1", High: "1", Low: "1"})
	until("day")
	say(`{"op":"list","id":"two"}`)
	until("list")
	say(`{"op":"unsubscribe","symbols":["EUR/USD"],"candles":"1m"}`)
	until("ack")
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
	if err := json.Unmarshal([]byte(snapshot.Raw), &at); err != nil || len(at.Data) != 1 {
		t.Fatal(err, snapshot.Raw)
	}
	n.Publish([3]string{"EUR/USD", "1.08452", "1.0846"})
	say(fmt.Sprintf(`{"op":"subscribe","id":5,"symbols":["EUR/USD"],"mode":"all","since":{"EUR/USD":{"epoch":%q,"seq":%d}}}`, at.Data[0].Epoch, at.Data[0].Seq))
	until("resumed")
	for range 40 {
		c.Say(`{"op":"nothing"}`)
	}
	until("error")
	renewed, _ := n.SignIn("renewed", "user")
	if next := n.Dial(renewed); next != nil {
		c.Close()
		c = next
	}
	until("welcome")
	h := webtest.NewHTTPClient(t, n.Public)
	h.Do("POST", "/api/v1/session", "", webtest.Bearer(renewed)).Into(t, 200, new(any))
	until("session")
	n.Web.StopAccepting()
	if err := n.Hub.Drain(t.Context(), 10*time.Millisecond); err != nil {
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
