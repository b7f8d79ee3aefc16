package session_test

import (
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/session"
)

// countGuests returns the number of guests that Redis counts.
func countGuests(t *testing.T, rdb *redis.Client) (n int) {
	t.Helper()
	for _, text := range rdb.HGetAll(t.Context(), "session:guests").Val() {
		one, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		n += one
	}
	return n
}

// TestGuestsLeaveNothing: what belongs to a guest ends with the guest, also if it was extended.
func TestGuestsLeaveNothing(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, rdb *redis.Client) {
		m := manager(rdb, func(c *session.Config) { c.GuestTTL = 5 * time.Minute })
		guest, _ := create(t, m, session.Draft{UserID: "guest-1", Role: session.GuestRole})
		user, _ := create(t, m, session.Draft{UserID: "u", Role: "user"})
		if guest.TTL != 5*time.Minute || user.TTL != time.Hour {
			t.Errorf("ttl %s of a guest, %s of a user", guest.TTL, user.TTL)
		}
		lives := func() (key, index time.Duration) {
			return rdb.PTTL(t.Context(), "session:"+guest.ID).Val(), rdb.PTTL(t.Context(), "session:user:guest-1").Val()
		}
		if key, index := lives(); index < key || index > key+10*time.Second {
			t.Errorf("the index of a guest lives %s, its session %s", index, key)
		}
		if index := rdb.PTTL(t.Context(), "session:user:u").Val(); index < 24*time.Hour {
			t.Errorf("the index of a user lives %s", index)
		}
		// An extension moves both, and the count.
		for _, key := range []string{"session:" + guest.ID, "session:user:guest-1"} {
			rdb.PExpire(t.Context(), key, 30*time.Second)
		}
		if _, err := m.Extend(t.Context(), guest.ID); err != nil {
			t.Fatal(err)
		}
		if key, index := lives(); key < 4*time.Minute || index < key {
			t.Errorf("after an extension the index lives %s, the session %s", index, key)
		}
		if list, err := m.List(t.Context(), "guest-1"); err != nil || len(list) != 1 {
			t.Errorf("listed: %v, %v", list, err)
		}
		if n := countGuests(t, rdb); n != 1 {
			t.Errorf("%d guests counted, want 1", n)
		}
		if n, err := m.RevokeUser(t.Context(), "guest-1"); n != 1 || err != nil {
			t.Errorf("revoked %d, %v", n, err)
		}
		if keys := rdb.Keys(t.Context(), "session:*guest-1*").Val(); len(keys) != 0 {
			t.Errorf("left behind: %v", keys)
		}
	})
}

// TestBoundGuestStaysIndexed: the background extension of a guest with an open socket keeps its index
// and its count.
func TestBoundGuestStaysIndexed(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, rdb *redis.Client) {
		m := run(t, manager(rdb, func(c *session.Config) { c.GuestTTL = 6 * time.Second }))
		running(t, m)
		guest, _ := create(t, m, session.Draft{UserID: "guest-1", Role: session.GuestRole})
		bind(m, guest)
		eventually(t, "the guest outlives its first lifetime", func() bool {
			now, err := m.LoadID(t.Context(), guest.ID)
			if err != nil {
				t.Fatal(err)
			}
			return now.LastSeenAt.Sub(guest.CreatedAt) > 6*time.Second+session.IndexAge
		})
		if list, err := m.List(t.Context(), "guest-1"); err != nil || len(list) != 1 {
			t.Errorf("listed: %v, %v", list, err)
		}
		if n := countGuests(t, rdb); n != 1 {
			t.Errorf("%d guests counted, want 1", n)
		}
	})
}

// TestGuestMax: the greatest number of guests holds over all nodes, and only for guests.
func TestGuestMax(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, rdb *redis.Client) {
		most := func(c *session.Config) { c.GuestMax = 3 }
		a, b := manager(rdb, most), manager(rdb, most)
		for i := range 3 {
			create(t, []*session.Manager{a, b}[i%2], session.Draft{UserID: fmt.Sprint("guest-", i), Role: session.GuestRole})
		}
		for _, m := range []*session.Manager{a, b} {
			if _, _, err := m.Create(t.Context(), session.Draft{UserID: "guest-9", Role: session.GuestRole}); !errors.Is(err, session.ErrTooManyGuests) {
				t.Errorf("a fourth guest: %v", err)
			}
		}
		create(t, a, session.Draft{})
		// Guests whose minute has passed count no more.
		for minute := range rdb.HGetAll(t.Context(), "session:guests").Val() {
			rdb.HDel(t.Context(), "session:guests", minute)
		}
		rdb.HSet(t.Context(), "session:guests", time.Now().Add(-2*time.Minute).Unix()/60, 3)
		create(t, b, session.Draft{UserID: "guest-9", Role: session.GuestRole})
		if n := countGuests(t, rdb); n != 1 {
			t.Errorf("%d guests counted, want 1", n)
		}
	})
}

// TestGuestBecomesUser: a guest that signs in has the lifetime of users from then on.
func TestGuestBecomesUser(t *testing.T) {
	t.Parallel()
	eachRedis(t, func(t *testing.T, rdb *redis.Client) {
		m := manager(rdb)
		guest, _ := create(t, m, session.Draft{UserID: "guest-1", Role: session.GuestRole})
		again, _, err := m.Renew(t.Context(), guest.ID, session.Change{})
		if err != nil || again.TTL != 10*time.Minute {
			t.Fatalf("%+v, %v", again, err)
		}
		user, _, err := m.Renew(t.Context(), again.ID, session.Change{UserID: "mia", Role: "user"})
		if err != nil || user.TTL != time.Hour {
			t.Errorf("%+v, %v", user, err)
		}
		if index := rdb.PTTL(t.Context(), "session:user:mia").Val(); index < 24*time.Hour {
			t.Errorf("the index of the user lives %s", index)
		}
	})
}
