package httplimit_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/fxcast/fxcast/limiter"
	"github.com/fxcast/fxcast/limiter/httplimit"
)

// The middleware allows each client address 60 requests per minute, 1,000 per hour and 10,000 per
// day, unless Config.Tiers returns other limits.
func ExampleMiddleware() {
	limit := httplimit.Middleware(httplimit.Config{Limiter: limiter.New(limiter.Config{})})
	handler := limit(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "served") }))

	var answer *httptest.ResponseRecorder
	for range 61 {
		answer = httptest.NewRecorder()
		handler.ServeHTTP(answer, httptest.NewRequest("GET", "/", nil))
		if answer.Code != http.StatusOK {
			break
		}
	}
	fmt.Println(answer.Code, answer.Header().Get("Content-Type"))
	fmt.Println(answer.Header().Get("RateLimit-Policy"))
	// Output:
	// 429 application/problem+json
	// "minute";q=60;w=60, "hour";q=1000;w=3600, "day";q=10000;w=86400
}
