package protocol_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/fxcast/fxcast/internal/pagetest"
	"github.com/fxcast/fxcast/protocol"
)

// TestDocumentedCodes checks that the tables of docs/protocol.md have the codes of this package.
func TestDocumentedCodes(t *testing.T) {
	var b strings.Builder
	b.WriteString("| code | meaning |\n|---|---|\n")
	for _, c := range protocol.ErrorCodes() {
		fmt.Fprintf(&b, "| `%s` | %s |\n", c.Code, c.Meaning)
	}
	pagetest.Check(t, "docs/protocol.md", "error codes", b.String())
	b.Reset()
	b.WriteString("| code | meaning | reconnect? |\n|---|---|---|\n")
	for _, c := range protocol.CloseCodes() {
		fmt.Fprintf(&b, "| %d | %s | %s |\n", c.Code, c.Meaning, c.Reconnect)
	}
	pagetest.Check(t, "docs/protocol.md", "close codes", b.String())
}

// An asyncAPI is what this test reads of asyncapi.json.
type asyncAPI struct {
	Channels struct {
		WS struct {
			CloseCodes []closeCode `json:"x-close-codes"`
		}
	}
	Components struct {
		Messages map[string]struct{ Payload schema }
		Schemas  map[string]schema
	}
}

type closeCode struct {
	Code      int    `json:"code"`
	Meaning   string `json:"meaning"`
	Reconnect string `json:"reconnect"`
}

type schema struct {
	Properties map[string]struct {
		Const any
		Enum  []any
	}
}

func (s schema) names() []string {
	var names []string
	for name := range s.Properties {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func TestAsyncAPICodes(t *testing.T) {
	doc := readAsyncAPI(t)
	plain := func(markdown string) string { return strings.ReplaceAll(markdown, "`", "") }
	var closes []closeCode
	var codes, all, refusals []any
	for _, c := range protocol.CloseCodes() {
		closes = append(closes, closeCode{c.Code, plain(c.Meaning), plain(string(c.Reconnect))})
		codes = append(codes, float64(c.Code))
	}
	for _, c := range protocol.ErrorCodes() {
		all = append(all, c.Code)
		if c.Refusal {
			refusals = append(refusals, c.Code)
		}
	}
	if !slices.Equal(doc.Channels.WS.CloseCodes, closes) {
		want, _ := json.Marshal(closes)
		t.Errorf("asyncapi.json, x-close-codes: want\n%s", want)
	}
	for name, c := range map[string]struct{ got, want []any }{
		"closing": {doc.Components.Messages["closing"].Payload.Properties["code"].Enum, codes},
		"error":   {doc.Components.Messages["error"].Payload.Properties["code"].Enum, all},
		"Refusal": {doc.Components.Schemas["Refusal"].Properties["code"].Enum, refusals},
	} {
		if !slices.Equal(c.got, c.want) {
			want, _ := json.Marshal(c.want)
			t.Errorf("asyncapi.json, codes of %s: want\n%s", name, want)
		}
	}
}

// Every message and its fields are described, and nothing else is.
func TestAsyncAPIFields(t *testing.T) {
	doc := readAsyncAPI(t)
	same := func(what string, described schema, goType reflect.Type, others ...string) {
		t.Helper()
		want := append(fieldNames(goType), others...)
		slices.Sort(want)
		if got := described.names(); !slices.Equal(got, want) {
			t.Errorf("asyncapi.json, %s has %q, the code %q", what, got, want)
		}
	}
	byType := map[any]schema{}
	commands := map[string]bool{}
	for name, m := range doc.Components.Messages {
		if typ := m.Payload.Properties["type"].Const; typ != nil {
			byType[typ] = m.Payload
			continue
		}
		commands[name] = true
		for _, field := range m.Payload.names() {
			if !slices.Contains(fieldNames(reflect.TypeFor[protocol.Command]()), field) {
				t.Errorf("asyncapi.json, command %s has a field %s", name, field)
			}
		}
	}
	for _, op := range []string{protocol.OpSubscribe, protocol.OpUnsubscribe, protocol.OpPace, protocol.OpList, protocol.OpPing} {
		if !commands[op] {
			t.Errorf("asyncapi.json has no command %s", op)
		}
	}
	for _, m := range messages {
		var head struct{ Type string }
		if err := json.Unmarshal([]byte(m.text), &head); err != nil {
			t.Fatal(err)
		}
		if s, ok := byType[head.Type]; !ok {
			t.Errorf("asyncapi.json has no message %s", head.Type)
		} else if head.Type == protocol.TypeDay {
			sameKeys(t, head.Type, s, m.message)
		} else {
			same(head.Type, s, reflect.TypeOf(m.message), "type")
		}
	}
	sameKeys(t, "Candle", doc.Components.Schemas["Candle"], protocol.Candle{Open: true})
	for name, goType := range map[string]reflect.Type{
		"Quote": reflect.TypeFor[protocol.Quote](), "Position": reflect.TypeFor[protocol.Position](), "Session": reflect.TypeFor[protocol.Session](),
		"Limits": reflect.TypeFor[protocol.Limits](), "Refusal": reflect.TypeFor[protocol.Refusal](),
	} {
		same(name, doc.Components.Schemas[name], goType)
	}
}

// sameKeys checks the description of a value that marshals itself.
func sameKeys(t *testing.T, what string, described schema, value any) {
	t.Helper()
	text, err := json.Marshal(value)
	if m, ok := value.(protocol.Message); ok {
		text = m.Append(nil)
	}
	var object map[string]any
	if err = errors.Join(err, json.Unmarshal(text, &object)); err != nil {
		t.Fatal(err)
	}
	if got, want := described.names(), slices.Sorted(maps.Keys(object)); !slices.Equal(got, want) {
		t.Errorf("asyncapi.json, %s has %q, the code %q", what, got, want)
	}
}

// The intervals of the document and of the page are those of the code.
func TestDocumentedIntervals(t *testing.T) {
	var described struct {
		Components struct {
			Schemas struct{ Interval struct{ Enum []string } }
		}
	}
	if err := json.Unmarshal([]byte(readFile(t, "../web/asyncapi.json")), &described); err != nil {
		t.Fatal(err)
	}
	if got, want := described.Components.Schemas.Interval.Enum, protocol.Intervals(); !slices.Equal(got, want) {
		t.Errorf("asyncapi.json has the intervals %q, the code %q", got, want)
	}
	if want := "`" + strings.Join(protocol.Intervals(), "`, `") + "`"; !strings.Contains(readFile(t, "../docs/protocol.md"), want) {
		t.Errorf("docs/protocol.md does not have the intervals %s", want)
	}
}

func fieldNames(t reflect.Type) (names []string) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous {
			names = append(names, fieldNames(f.Type)...)
		} else {
			names = append(names, name)
		}
	}
	return names
}

// The JavaScript client, which the page uses, stays away after exactly the codes after which a client
// must. 4009 depends on the advice.
func TestClientCodes(t *testing.T) {
	m := regexp.MustCompile(`const final = .*\[([\d, ]+)\]`).FindStringSubmatch(readFile(t, "../clients/js/src/client.js"))
	if m == nil {
		t.Fatal("the client has no list of final codes")
	}
	final := map[int]bool{}
	for text := range strings.SplitSeq(m[1], ", ") {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		final[n] = true
	}
	for _, c := range protocol.CloseCodes() {
		if (c.Reconnect == protocol.ReconnectNo) != final[c.Code] {
			t.Errorf("code %d (%s): may a client come back: %q; the client stays away: %v", c.Code, c.Meaning, c.Reconnect, final[c.Code])
		}
		delete(final, c.Code)
	}
	for n := range final {
		t.Errorf("the client knows a code %d that is in no table", n)
	}
}

func readAsyncAPI(t *testing.T) (doc asyncAPI) {
	t.Helper()
	if err := json.Unmarshal([]byte(readFile(t, "../web/asyncapi.json")), &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
