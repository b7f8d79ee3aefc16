package cache_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fxcast/fxcast/cache"
	"github.com/fxcast/fxcast/internal/redistest"
)

func benchNamespace(b *testing.B) *cache.Namespace {
	return namespace(b, newCache(b, patient(redistest.Start(b).Client())), "bench", time.Hour)
}

func BenchmarkGet(b *testing.B) {
	ns := benchNamespace(b)
	must(b, ns.Set(b.Context(), "k", strings.Repeat("x", 500)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ns.Get(b.Context(), "k"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGetMany(b *testing.B) {
	for _, n := range []int{10, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			ns := benchNamespace(b)
			keys, values := numbered("k", n), map[string]any{}
			for _, key := range keys {
				values[key] = strings.Repeat("x", 100)
			}
			must(b, ns.SetMany(b.Context(), values))
			b.ReportAllocs()
			for b.Loop() {
				if found, err := ns.GetMany(b.Context(), keys...); err != nil || len(found) != n {
					b.Fatal(len(found), err)
				}
			}
		})
	}
}

func BenchmarkFetchHit(b *testing.B) {
	users := cache.As[user](benchNamespace(b))
	load := func(context.Context) (user, error) { return user{Name: "Ann"}, nil }
	b.ReportAllocs()
	for b.Loop() {
		if _, err := users.Fetch(b.Context(), "k", load); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	for name, value := range map[string]any{"struct": user{Name: "Ann"}, "compressed-10k": strings.Repeat(`{"bid":"1.08501"}`, 600)} {
		b.Run(name, func(b *testing.B) {
			codec, err := cache.NewCodec(1024)
			must(b, err)
			b.ReportAllocs()
			for b.Loop() {
				raw, err := codec.Encode(value)
				if err != nil {
					b.Fatal(err)
				}
				codec.Decode(raw)
			}
		})
	}
}

func BenchmarkMatch(b *testing.B) {
	key := strings.Repeat("a", cache.MaxKey-1) + "b"
	for name, pattern := range map[string]string{"prefix": "aaaa*", "worst": strings.Repeat("a*", 100) + "c"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := cache.Match(pattern, key); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
