package redistest_test

import (
	"context"
	"testing"
	"time"

	"github.com/fxcast/fxcast/internal/redistest"
)

func TestServerLife(t *testing.T) {
	s := redistest.Start(t, redistest.Durable...)
	c := s.Client()
	ctx := t.Context()
	if err := c.Set(ctx, "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	s.Kill()
	s.Kill() // a second Kill does nothing
	if err := c.Get(ctx, "k").Err(); err == nil {
		t.Error("a killed server answered")
	}
	addr := s.Addr()
	s.Restart()
	if s.Addr() != addr {
		t.Errorf("address after Restart = %s, want %s", s.Addr(), addr)
	}
	if v, err := c.Get(ctx, "k").Result(); err != nil || v != "v" {
		t.Errorf("after Restart with an append-only file: %q, %v, want v", v, err)
	}

	s.Pause()
	short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- c.Ping(ctx).Err() }()
	select {
	case err := <-done:
		t.Errorf("a paused server answered: %v", err)
	case <-short.Done():
	}
	s.Resume()
	if err := <-done; err != nil {
		t.Errorf("after Resume: %v", err)
	}
}

func TestStartWithoutPersistence(t *testing.T) {
	s := redistest.Start(t)
	c := s.Client()
	c.Set(t.Context(), "k", "v", 0)
	s.Restart()
	if n, err := c.Exists(t.Context(), "k").Result(); err != nil || n != 0 {
		t.Errorf("after Restart without persistence: %d keys, %v, want none", n, err)
	}
}

func TestEmbeddedExpires(t *testing.T) {
	c, _ := redistest.Embedded(t)
	ctx := t.Context()
	if err := c.Set(ctx, "k", "v", 200*time.Millisecond).Err(); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(patience)
	for c.Exists(ctx, "k").Val() == 1 {
		if time.Now().After(deadline) {
			t.Fatal("the key did not expire")
		}
		time.Sleep(10 * time.Millisecond)
	}
}
