package httpsession_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"sync"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/session"
	"github.com/fxcast/fxcast/session/httpsession"
)

// Another Go program signs its users in, and lets some of them further.
func Example() {
	server, err := miniredis.Run() // a Redis of the example's own
	if err != nil {
		panic(err)
	}
	defer server.Close()
	rdb := redis.NewClient(&redis.Options{Addr: server.Addr(), ContextTimeoutEnabled: true, DisableIdentity: true})
	defer rdb.Close()

	sessions := session.New(session.Config{Redis: rdb, AutoExtend: true})
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = sessions.Run(ctx) })
	defer running.Wait()
	defer stop()

	guard := httpsession.Guard{Sessions: sessions}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /sign-in", func(w http.ResponseWriter, r *http.Request) {
		// After the password was found right. The token is always a new one.
		s, token, err := sessions.Create(r.Context(), session.Draft{UserID: "123", Role: "user", Address: r.RemoteAddr, Agent: r.UserAgent()})
		if err != nil {
			http.Error(w, "try again", http.StatusServiceUnavailable)
			return
		}
		guard.Cookie.Set(w, r, token, s)
	})
	mux.Handle("GET /desk", guard.RequireRole("user", "admin")(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, _ := httpsession.FromContext(r.Context())
		fmt.Fprintln(w, "hello", s.UserID)
	})))
	web := httptest.NewServer(guard.Middleware(mux))
	defer web.Close()

	jar, _ := cookiejar.New(nil)
	browser := &http.Client{Jar: jar, Transport: &http.Transport{DisableKeepAlives: true}}
	show := func(r *http.Response, err error) {
		if err != nil {
			panic(err)
		}
		defer r.Body.Close()
		text, _ := io.ReadAll(r.Body)
		fmt.Printf("%d %q\n", r.StatusCode, text)
	}
	show(browser.Get(web.URL + "/desk"))
	show(browser.Post(web.URL+"/sign-in", "", nil))
	show(browser.Get(web.URL + "/desk"))
	// Output:
	// 401 "a session is required\n"
	// 200 ""
	// 200 "hello 123\n"
}
