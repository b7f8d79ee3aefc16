package session_test

import (
	"context"
	"fmt"
	"log"
	"net/http"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/session"
)

// Another Go program signs its users in, and lets some of them further.
func ExampleManager_Middleware() {
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:6379", ContextTimeoutEnabled: true})
	defer rdb.Close()
	sessions := session.New(session.Config{Redis: rdb, AutoExtend: true})
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go sessions.Run(ctx)

	auth := session.MiddlewareConfig{Cookie: session.CookieConfig{Name: "session_id"}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /sign-in", func(w http.ResponseWriter, r *http.Request) {
		// After the password was found right. The token is always a new one.
		s, token, err := sessions.Create(r.Context(), session.Draft{UserID: "123", Role: "user", Address: r.RemoteAddr, Agent: r.UserAgent()})
		if err != nil {
			http.Error(w, "try again", http.StatusServiceUnavailable)
			return
		}
		auth.Cookie.Set(w, r, token, s)
	})
	mux.Handle("GET /desk", auth.RequireRole("user", "admin")(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, _ := session.FromContext(r.Context())
		fmt.Fprintln(w, "hello", s.UserID)
	})))
	log.Print(http.ListenAndServe("127.0.0.1:8000", sessions.Middleware(auth)(mux)))
}
