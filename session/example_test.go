package session_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/session"
)

// A session is made when a user signs in. Its token is the secret that the user
// keeps; its ID may be shown and logged.
func Example() {
	server, err := miniredis.Run() // a Redis of the example's own
	if err != nil {
		panic(err)
	}
	defer server.Close()
	rdb := redis.NewClient(&redis.Options{Addr: server.Addr(), ContextTimeoutEnabled: true, DisableIdentity: true})
	defer rdb.Close()
	sessions := session.New(session.Config{Redis: rdb, TTL: time.Hour, AbsoluteTTL: 24 * time.Hour})
	ctx := context.Background()

	s, token, err := sessions.Create(ctx, session.Draft{UserID: "123", Role: "user", Data: json.RawMessage(`{"desk":"FX"}`)})
	fmt.Println(s.UserID, s.Role, err)

	s, err = sessions.Load(ctx, token)
	fmt.Println(s.UserID, string(s.Data), err)

	s, err = sessions.Extend(ctx, s.ID) // for its TTL from now on, up to the absolute expiry
	fmt.Println(time.Until(s.ExpiresAt).Round(time.Minute), err)

	old := token
	s, token, err = sessions.Renew(ctx, s.ID, session.Change{}) // after a sign-in or a change of rights
	fmt.Println(token != old, err)

	err = sessions.Revoke(ctx, s.ID)
	_, gone := sessions.Load(ctx, token)
	fmt.Println(err, errors.Is(gone, session.ErrNotFound))
	// Output:
	// 123 user <nil>
	// 123 {"desk":"FX"} <nil>
	// 1h0m0s <nil>
	// true <nil>
	// <nil> true
}
