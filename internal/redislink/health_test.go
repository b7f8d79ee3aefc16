package redislink_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/fxcast/fxcast/internal/redislink"
)

// Redis is lost from the first signal to the end of the last, and that is said once.
func TestHealth(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		h := redislink.NewHealth()
		quotes, sessions := h.Signal("quotes"), h.Signal("sessions")
		var got []bool
		var running sync.WaitGroup
		running.Go(func() { h.Run(ctx, func(lost bool) { got = append(got, lost) }) })
		for _, step := range []struct {
			signal *redislink.Signal
			lost   bool
			causes []string
		}{
			{quotes, false, nil}, {quotes, true, []string{"quotes"}}, {sessions, true, []string{"quotes", "sessions"}},
			{quotes, true, []string{"quotes", "sessions"}}, {quotes, false, []string{"sessions"}}, {sessions, false, nil},
			{sessions, true, []string{"sessions"}}, {sessions, false, nil},
		} {
			step.signal.Set(step.lost)
			synctest.Wait()
			if causes := h.Causes(); len(got) > 0 && got[len(got)-1] != h.Lost() || !slices.Equal(causes, step.causes) || h.Lost() != (len(causes) > 0) {
				t.Errorf("causes %q, want %q", causes, step.causes)
			}
		}
		cancel()
		running.Wait()
		if want := []bool{true, false, true, false}; !slices.Equal(got, want) {
			t.Errorf("said %v, want %v", got, want)
		}
	})
}
