package feed_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/fxcast/fxcast/feed"
)

func TestSplitInput(t *testing.T) {
	for _, c := range []struct {
		body string
		want []string
	}{
		{`{"a":1}`, []string{`{"a":1}`}},
		{" \r\n{\n  \"a\": 1\n}\n", []string{"{\n  \"a\": 1\n}"}},
		{"\ufeff{\"a\":1}", []string{`{"a":1}`}},
		{"\ufeff[{\"a\":1}]", []string{`{"a":1}`}},
		{"\ufeff{\"a\":1}\n\ufeff{\"b\":2}", []string{`{"a":1}`, `{"b":2}`}},
		{utf16Of(`{"a":"é😀"}`, false), []string{`{"a":"é😀"}`}},
		{utf16Of("{\"a\":1}\r\n{\"b\":2}", true), []string{`{"a":1}`, `{"b":2}`}},
		{utf16Of(`[1]`, true), []string{`1`}},
		{`[]`, nil},
		{`[{"a":1}, {"b":[2]} ,7,null,"x"]`, []string{`{"a":1}`, `{"b":[2]}`, `7`, `null`, `"x"`}},
		{"{\"a\":1}\n{\"b\":2}", []string{`{"a":1}`, `{"b":2}`}},
		{"\n\n{\"a\":1}\r\n\r\n  \n{\"b\":2}\r\n", []string{`{"a":1}`, `{"b":2}`}},
		{"{\"a\":1}\n{broken\n{\"b\":2}", []string{`{"a":1}`, `{broken`, `{"b":2}`}},
		{"broken\n{\"b\":2}", []string{`broken`, `{"b":2}`}},
		{`{"a":1`, []string{`{"a":1`}},
		{`{"a":1}{"b":2}`, []string{`{"a":1}{"b":2}`}}, // one line, for ParseInput to refuse
	} {
		items, err := feed.SplitInput([]byte(c.body))
		if err != nil || len(items) != len(c.want) {
			t.Errorf("%q: %q, %v; want %q", c.body, items, err, c.want)
			continue
		}
		for i, item := range items {
			if string(item) != c.want[i] {
				t.Errorf("%q: item %d is %q, want %q", c.body, i, item, c.want[i])
			}
		}
	}
	for _, body := range []string{
		"", " \n", "\ufeff", "null", "7", `"x"`, "symbol=EURUSD&price=1", "<xml/>", "\x00\x01", "\xff\xff",
		"\xff\xfe", "\xfe\xff", "\xff\xfe{", "\xfe\xff\x00{\xd8\x00\x00}", "\xff\xfe\x00\xd8", "\xff\xfe\x00\x00{\x00\x00\x00", "\x00\x00\xfe\xff\x00\x00\x00{", "+/v8-{}", "\x0e\xfe\xff{}",
		"[", "[1,]", `[{"a":1}`, `[{"a":1} {"b":2}]`, `[1]x`, "[1]\n[2]", `[{"a":1}],`, "[{\"a\":\n{\"b\":2}]", strings.Repeat("x", 1<<20),
	} {
		items, err := feed.SplitInput([]byte(body))
		if !errors.Is(err, feed.ErrBadBody) || items != nil {
			t.Errorf("%.40q: %d items, %v; want ErrBadBody", body, len(items), err)
			continue
		}
		checkText(t, err.Error())
	}
}

// utf16Of returns text in UTF-16 with a byte order mark.
func utf16Of(text string, bigEndian bool) string {
	var order binary.AppendByteOrder = binary.LittleEndian
	if bigEndian {
		order = binary.BigEndian
	}
	b := order.AppendUint16(nil, 0xfeff)
	for _, u := range utf16.Encode([]rune(text)) {
		b = order.AppendUint16(b, u)
	}
	return string(b)
}

func TestBodyRejection(t *testing.T) {
	for body, want := range map[string]feed.Reason{
		"": feed.ReasonBadJSON, "null": feed.ReasonBadJSON, "\xff\xfe\x00\x00": feed.ReasonBadJSON, "[" + strings.Repeat("1,", feed.MaxInputItems) + "1]": feed.ReasonTooLong,
	} {
		_, err := feed.SplitInput([]byte(body))
		if r := feed.BodyRejection(err); checkRejection(t, r) != want || strings.HasPrefix(r.Message, "feed:") {
			t.Errorf("%.20q: %v", body, r)
		}
	}
	if _, err := feed.SplitInput([]byte("\xff\xfe\x00\x00{\x00\x00\x00")); !strings.Contains(err.Error(), "UTF-32") {
		t.Errorf("UTF-32 is not named: %v", err)
	}
}

func TestSplitInputBound(t *testing.T) {
	array := func(n int) string { return "[" + strings.TrimSuffix(strings.Repeat("{},", n), ",") + "]" }
	lines := func(n int) string { return strings.Repeat("{}\n", n) }
	for _, body := range []func(int) string{array, lines} {
		if items, err := feed.SplitInput([]byte(body(feed.MaxInputItems))); err != nil || len(items) != feed.MaxInputItems {
			t.Errorf("%d items: %d, %v", feed.MaxInputItems, len(items), err)
		}
		if items, err := feed.SplitInput([]byte(body(feed.MaxInputItems + 1))); !errors.Is(err, feed.ErrTooManyItems) || items != nil {
			t.Errorf("%d items: %d, %v; want ErrTooManyItems", feed.MaxInputItems+1, len(items), err)
		}
	}
}

// A broken line is rejected alone, under its own index.
func TestBrokenLineIsOneItem(t *testing.T) {
	const good = `{"symbol":"EURUSD","price":1}`
	items, err := feed.SplitInput([]byte(good + "\r\n\r\n{\"symbol\":\"EURUSD\",\"price\":\r\nrubbish\n" + good))
	if err != nil {
		t.Fatal(err)
	}
	for i, item := range items {
		_, err := feed.ParseInput(item, feed.InputOptions{})
		if broken := i == 1 || i == 2; broken != (err != nil) {
			t.Errorf("item %d %s: %v", i, item, err)
		} else if broken && checkRejection(t, err) != feed.ReasonBadJSON {
			t.Errorf("item %d: %v", i, err)
		}
	}
}

func FuzzSplitInput(f *testing.F) {
	for _, s := range []string{`{}`, `[{},{}]`, "{}\r\n\r\n{}", "{\n}", "x\n{", `[{}`, "\ufeff[1]", `{}{}`, "\xff\xfe{\x00}\x00", "\xfe\xff\x00[\x00]"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		items, err := feed.SplitInput(body)
		if err != nil {
			if items != nil || !errors.Is(err, feed.ErrBadBody) && !errors.Is(err, feed.ErrTooManyItems) {
				t.Fatalf("%q: %d items, %v", body, len(items), err)
			}
			checkText(t, err.Error())
			return
		}
		if len(items) > feed.MaxInputItems {
			t.Fatalf("%d items", len(items))
		}
		marked := bytes.HasPrefix(body, []byte("\xff\xfe")) || bytes.HasPrefix(body, []byte("\xfe\xff")) // and decoded
		total := 0
		for _, item := range items {
			total += len(item)
			if len(item) == 0 || !marked && !bytes.Contains(body, item) {
				t.Fatalf("%q: item %q is not of the body", body, item)
			}
			if _, err := feed.ParseInput(item, inbox); err != nil {
				checkRejection(t, err)
			}
		}
		if total > 2*len(body) || !marked && total > len(body) {
			t.Fatalf("%q: items of %d bytes", body, total)
		}
		// A JSON array is split into what encoding/json says its elements are.
		var want []json.RawMessage
		if trimmed := bytes.TrimSpace(body); json.Unmarshal(body, &want) == nil && trimmed[0] == '[' {
			if len(want) != len(items) {
				t.Fatalf("%q: %d items, want %d", body, len(items), len(want))
			}
			for i := range want {
				if !bytes.Equal(want[i], items[i]) {
					t.Fatalf("%q: item %d is %q, want %q", body, i, items[i], want[i])
				}
			}
		}
	})
}
