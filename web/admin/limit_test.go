package admin_test

import (
	"testing"

	"github.com/fxcast/fxcast/web/internal/webtest"
)

// The admin listener offers the limiter's plain form, and the list of subjects that it refuses.
func TestRateLimitAdmin(t *testing.T) {
	t.Parallel()
	n := webtest.Start(t, nil)
	h := webtest.NewHTTPClient(t, n.Admin)
	admin := webtest.Bearer(webtest.AdminToken)
	var got struct {
		Allowed    bool     `json:"allowed"`
		Remaining  int64    `json:"remaining"`
		RetryAfter *float64 `json:"retry_after_seconds"`
	}
	check := func(body string) {
		t.Helper()
		got.RetryAfter = nil
		h.Do("POST", "/api/v1/redis/rate-limit/check", body, admin).Into(t, 200, &got)
	}
	check(`{"key":"user:123","limit":2,"window_seconds":3600,"cost":2,"peek":true}`)
	if !got.Allowed || got.Remaining != 2 {
		t.Errorf("a look must not charge: %+v", got)
	}
	check(`{"key":"user:123","limit":2,"window_seconds":3600,"cost":2}`)
	if !got.Allowed || got.Remaining != 0 {
		t.Errorf("the first two units: %+v", got)
	}
	check(`{"key":"user:123","limit":2,"window_seconds":3600}`)
	if got.Allowed || got.RetryAfter == nil || *got.RetryAfter <= 0 {
		t.Errorf("a third unit: %+v", got)
	}
	check(`{"key":"user:123","limit":2,"window_seconds":3600,"cost":3}`)
	if got.Allowed || got.RetryAfter != nil {
		t.Errorf("a cost above the limit never fits: %+v", got)
	}
	for _, body := range []string{
		`{"key":"a","limit":0,"window_seconds":1}`, `{"key":"a","limit":1,"window_seconds":0}`,
		`{"key":"a","limit":1,"window_seconds":31622401}`, `{"key":"a","limit":1,"window_seconds":1,"cost":0}`,
		`{"key":7,"limit":1,"window_seconds":1}`, `{"key":"a","limit":"1","window_seconds":1}`,
		`{"key":"","limit":1,"window_seconds":1}`, `{"key":"a","limit":1,"window_seconds":1,"extra":true}`,
	} {
		if a := h.Do("POST", "/api/v1/redis/rate-limit/check", body, admin); a.Status != 400 {
			t.Errorf("%s: %d, want 400", body, a.Status)
		}
	}
	var offenders []struct {
		Subject string `json:"subject"`
		Refused int64  `json:"refused"`
	}
	h.Do("GET", "/api/v1/redis/rate-limit/offenders", "", admin).Into(t, 200, &offenders)
	if len(offenders) != 1 || offenders[0].Subject != "user:123" {
		t.Errorf("offenders: %+v", offenders)
	}
}
