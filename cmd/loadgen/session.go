package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
)

// makeSessions creates a session per client by the admin listener. Each has its own user, so that
// limits per user apply as they would to as many people.
func makeSessions(ctx context.Context, o options) ([]string, error) {
	if o.admin == "" {
		return nil, nil
	}
	tokens := make([]string, o.clients)
	errs := make(chan error, 1)
	var wg sync.WaitGroup
	work := make(chan int)
	for range 16 {
		wg.Go(func() {
			for i := range work {
				var err error
				if tokens[i], err = makeSession(ctx, o, i); err != nil {
					select {
					case errs <- err:
					default:
					}
				}
			}
		})
	}
	for i := range tokens {
		work <- i
	}
	close(work)
	wg.Wait()
	select {
	case err := <-errs:
		return nil, fmt.Errorf("sessions: %w", err)
	default:
		return tokens, nil
	}
}

func makeSession(ctx context.Context, o options, i int) (string, error) {
	body := fmt.Appendf(nil, `{"user_id":"loadgen-%d","role":"user","ttl_seconds":3600}`, i)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, o.admin+"/api/v1/sessions", bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	r.Header.Set("Authorization", "Bearer "+o.adminToken)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	var made struct {
		Token string `json:"token"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&made); err != nil || made.Token == "" {
		return "", fmt.Errorf("status %d", answer.StatusCode)
	}
	return made.Token, nil
}
