package session

import (
	"context"
	_ "embed" // the scripts
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/internal/redislink"
)

func sessionKey(id string) string { return "session:" + id }
func userKey(user string) string  { return "session:user:" + user }

func (m *Manager) create(ctx context.Context, s *Session, indexed time.Time) (int64, error) {
	r, err := createScript.Run(ctx, m.rdb, []string{sessionKey(s.ID)}, s.value, s.TTL.Milliseconds(),
		s.AbsoluteExpiresAt.UnixMilli(), indexed.UnixMilli(), indexAge.Milliseconds()).Int64Slice()
	if err != nil {
		return 0, redislink.Unavailable("create", err)
	}
	s.took(r)
	return r[0], nil
}

// took updates s with the answer {code, now ms, ttl ms} of the scripts create and write.
func (s *Session) took(r []int64) {
	s.readAt = time.Now()
	s.redisNow = time.UnixMilli(r[1]).UTC()
	s.remaining = time.Duration(r[2]) * time.Millisecond
	s.ExpiresAt = s.redisNow.Add(s.remaining)
}

// extension returns the value of s after an extension or completion.
func (s *Session) extension() (string, error) {
	return rewrite(s.value, map[string]any{
		"last_seen_at":        formatTime(s.redisNow),
		"ttl_seconds":         s.TTL.Seconds(),
		"created_at":          formatTime(s.CreatedAt),
		"absolute_expires_at": formatTime(s.AbsoluteExpiresAt),
	})
}

// write extends s by ttl from now on, up to its absolute expiry, if the key still has the value
// that was read. It then updates s. It adds the fields that another program has left out.
func (m *Manager) write(ctx context.Context, s *Session, ttl time.Duration) (int64, error) {
	m.fill(s)
	value, err := s.extension()
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	r, err := writeScript.Run(ctx, m.rdb, []string{sessionKey(s.ID)}, s.writeArgs(value, ttl)...).Int64Slice()
	if err != nil {
		return 0, failed("write", err)
	}
	was := s.ExpiresAt
	s.wrote(r, value)
	if r[0] == written {
		var guests guestMoves
		guests.add(s, was)
		m.extendGuests(ctx, guests)
	}
	return r[0], nil
}

func (s *Session) writeArgs(value string, ttl time.Duration) []any {
	return []any{s.value, value, ttl.Milliseconds(), s.AbsoluteExpiresAt.UnixMilli(), "1"}
}

func (s *Session) wrote(r []int64, value string) {
	if r[0] == written {
		s.took(r)
		s.value, s.LastSeenAt = value, s.redisNow
	}
}

// fill completes a session that another program created.
func (m *Manager) fill(s *Session) {
	if s.CreatedAt.IsZero() {
		s.CreatedAt = s.redisNow
	}
	if s.AbsoluteExpiresAt.IsZero() {
		s.AbsoluteExpiresAt = s.CreatedAt.Add(m.cfg.AbsoluteTTL)
	}
}

var errBadReply = errors.New("the script returned an unknown answer")

// failed maps the error of a command on a session key to an error of this package.
func failed(doing string, err error) error {
	if redislink.Code(err) == "WRONGTYPE" {
		return fmt.Errorf("%w: the key is not a string", ErrCorrupt)
	}
	return redislink.Unavailable(doing, err)
}

// read returns one session as it is in Redis.
func (m *Manager) read(ctx context.Context, id string) (Session, error) {
	all, err := m.readAll(ctx, []string{id})
	if err != nil {
		return Session{}, err
	}
	return all[0].session, all[0].err
}

// reading is the result of reading an id: a session, or an error of this package. movedTo is the id
// of the new session if the session was renewed.
type reading struct {
	session Session
	movedTo string
	err     error
}

// readAll reads sessions in one round trip. The result has the order of ids. An error means that
// none was read.
func (m *Manager) readAll(ctx context.Context, ids []string) ([]reading, error) {
	pipe := m.rdb.Pipeline()
	clock := pipe.Time(ctx)
	values := make([]*redis.StringCmd, len(ids))
	ttls := make([]*redis.DurationCmd, len(ids))
	for i, id := range ids {
		values[i] = pipe.Get(ctx, sessionKey(id))
		ttls[i] = pipe.PTTL(ctx, sessionKey(id))
	}
	_ = redislink.Exec(ctx, pipe) // each command has its own answer
	if clock.Err() != nil {
		return nil, redislink.Unavailable("read", clock.Err())
	}
	now := time.Now()
	out := make([]reading, len(ids))
	for i, id := range ids {
		out[i] = m.reading(id, values[i], ttls[i], clock.Val().UTC(), now)
	}
	return out, nil
}

func (m *Manager) reading(id string, value *redis.StringCmd, ttl *redis.DurationCmd, redisNow, now time.Time) reading {
	switch err := value.Err(); {
	case errors.Is(err, redis.Nil):
		return reading{err: ErrNotFound}
	case err != nil:
		return reading{err: failed("read", err)}
	case ttl.Err() != nil:
		return reading{err: redislink.Unavailable("read", ttl.Err())}
	}
	if to, ok := parseTombstone(value.Val()); ok {
		return reading{movedTo: to, err: ErrNotFound}
	}
	s := Session{ID: id, value: value.Val(), remaining: ttl.Val(), redisNow: redisNow, readAt: now}
	if s.remaining == -2 { // the session ended between the two commands
		return reading{err: ErrNotFound}
	}
	if err := decodeSession(s.value, &s); err != nil {
		return reading{err: fmt.Errorf("%w: %w", ErrCorrupt, err)}
	}
	if s.TTL == 0 {
		s.TTL = m.cfg.TTL
		if s.remaining > 0 {
			s.TTL = max(s.remaining.Round(time.Second), time.Second)
		}
	}
	s.ExpiresAt = redisNow.Add(max(s.remaining, 0))
	if s.remaining < 0 {
		s.ExpiresAt = redisNow.Add(s.TTL)
	}
	return reading{session: s}
}
