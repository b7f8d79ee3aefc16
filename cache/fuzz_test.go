package cache_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/fxcast/fxcast/cache"
)

// FuzzValue: any stored content is read as bytes or as the value it was, and never grows without
// bound. Any encoded value is decoded unchanged.
func FuzzValue(f *testing.F) {
	plain, err := cache.NewCodec(-1)
	must(f, err)
	zipped, err := cache.NewCodec(0)
	must(f, err)
	bomb, err := zipped.Encode(make([]byte, 64<<10))
	must(f, err)
	for _, seed := range [][]byte{nil, []byte("text"), {0, 'f', 'x'}, {0, 'f', 'x', 3}, {0, 'f', 'x', 5, 0}, []byte("\x00fx\x02{}"), bomb, bomb[:len(bomb)/2]} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		payload, known := plain.Decode(data)
		if !known && !bytes.Equal(payload, data) {
			t.Errorf("%q was not taken as it is: %q", data, payload)
		}
		if len(payload) > max(cache.MaxValue, len(data)) {
			t.Errorf("%d bytes became %d", len(data), len(payload))
		}
		for _, c := range []cache.Codec{plain, zipped} {
			raw, err := c.Encode(data)
			if err != nil {
				t.Fatal(err)
			}
			if got, known := plain.Decode(raw); !known || !bytes.Equal(got, data) {
				t.Errorf("%q was stored as %q and read as %q", data, raw, got)
			}
			raw, err = c.Encode(map[string][]byte{"k": data})
			if err != nil {
				t.Fatal(err)
			}
			if got, known := plain.Decode(raw); !known || !bytes.HasPrefix(got, []byte(`{"k":"`)) && len(data) > 0 {
				t.Errorf("JSON was stored as %q and read as %q", raw, got)
			}
		}
	})
}

// TestBomb: a small value that decompresses to more than MaxValue is not read as a value.
func TestBomb(t *testing.T) {
	codec, err := cache.NewCodec(0)
	must(t, err)
	fits, err := codec.Encode(make([]byte, cache.MaxValue))
	must(t, err)
	if got, known := codec.Decode(fits); !known || len(got) != cache.MaxValue {
		t.Errorf("the largest value: %d bytes, %v", len(got), known)
	}
	zip, err := zstd.NewWriter(nil)
	must(t, err)
	bomb := zip.EncodeAll(make([]byte, cache.MaxValue+1), []byte("\x00fx\x03"))
	if got, known := codec.Decode(bomb); known || !bytes.Equal(got, bomb) {
		t.Errorf("%d bytes that unpack beyond the limit became %d", len(bomb), len(got))
	}
}

// FuzzPattern: escaped text matches only itself, any pattern is refused or matches, and a pattern
// followed by * matches all keys with that prefix.
func FuzzPattern(f *testing.F) {
	for _, seed := range [][2]string{{"user:*", "user:1"}, {"a*b*c", "aXbXc"}, {"[^a-c]?", "xy"}, {`\*`, "*"}, {"[", "["}, {strings.Repeat("a*", 500), strings.Repeat("a", 500)}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		if len(a) > cache.MaxKey {
			a = a[:cache.MaxKey]
		}
		if len(b) > cache.MaxKey {
			b = b[:cache.MaxKey]
		}
		ok, err := cache.Match(a, b)
		if ok && err != nil {
			t.Errorf("%q is refused and matches", a)
		}
		if a == "" {
			return
		}
		if self, err := cache.Match(cache.Escape(a), a); err != nil || !self {
			t.Errorf("escaped %q does not match itself: %v", a, err)
		}
		if other, err := cache.Match(cache.Escape(a), b); err != nil || other != (a == b) {
			t.Errorf("escaped %q, %q: %v, %v", a, b, other, err)
		}
		if len(a) < cache.MaxKey {
			if begins, err := cache.Match(cache.Escape(a)+"*", a+b); err != nil || !begins {
				t.Errorf("escaped %q and * does not match %q: %v", a, a+b, err)
			}
		}
	})
}
