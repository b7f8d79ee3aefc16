package session

import (
	"context"
	_ "embed" // the scripts
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/internal/redislink"
)

var (
	//go:embed index.lua
	indexSource string
	//go:embed create.lua
	createSource string
	//go:embed write.lua
	writeSource string
	//go:embed revoke.lua
	revokeSource string
	//go:embed lease.lua
	leaseSource string

	indexScript  = redis.NewScript(indexSource)
	createScript = redis.NewScript(createSource)
	writeScript  = redis.NewScript(writeSource)
	revokeScript = redis.NewScript(revokeSource)
	leaseScript  = redis.NewScript(leaseSource)
)

// What create and write answer.
const (
	written = 1
	lost    = 0  // the key is gone, taken, or no longer what was read
	passed  = -1 // its absolute expiry has passed
)

const (
	writeAttempts = 4
	pruneEvery    = 32   // ids in a user index between two clean-ups
	readBatch     = 500  // keys in one pipeline that reads or writes values
	checkBatch    = 2500 // keys in one pipeline of PTTL
	revokeBatch   = 100  // ids between two notices when a user is signed out: the first need not wait for the last

	// A key is made at most indexAge after its id entered the index, and an id that leaves the index
	// without a key is blocked for longer than that: so no session is ever missing in its index.
	indexAge = 5 * time.Second
	blockFor = 10 * time.Second

	renewedFor = 30 * time.Second // life of a tombstone that says where a session went
)

func sessionKey(id string) string { return "session:" + id }
func userKey(user string) string  { return "session:user:" + user }

// index adds id to the user's index and returns Redis's time and the size of the index.
func (m *Manager) index(ctx context.Context, user, id string) (time.Time, int64, error) {
	if err := m.answers(); err != nil {
		return time.Time{}, 0, err
	}
	keep := m.cfg.AbsoluteTTL + time.Hour
	r, err := indexScript.Run(ctx, m.rdb, []string{userKey(user)}, id, keep.Milliseconds()).Int64Slice()
	if err != nil {
		return time.Time{}, 0, redislink.Unavailable("index", err)
	}
	return time.UnixMilli(r[0]).UTC(), r[1], nil
}

func (m *Manager) create(ctx context.Context, s *Session, indexed time.Time) (int64, error) {
	r, err := createScript.Run(ctx, m.rdb, []string{sessionKey(s.ID)}, s.value, s.TTL.Milliseconds(),
		s.AbsoluteExpiresAt.UnixMilli(), indexed.UnixMilli(), indexAge.Milliseconds()).Int64Slice()
	if err != nil {
		return 0, redislink.Unavailable("create", err)
	}
	s.took(r)
	return r[0], nil
}

// took notes the answer {code, now ms, ttl ms} of create and write.
func (s *Session) took(r []int64) {
	s.readAt = time.Now()
	s.redisNow = time.UnixMilli(r[1]).UTC()
	s.remaining = time.Duration(r[2]) * time.Millisecond
	s.ExpiresAt = s.redisNow.Add(s.remaining)
}

// extension returns the value s gets when it is extended or completed.
func (s *Session) extension() (string, error) {
	return rewrite(s.value, map[string]any{
		"last_seen_at":        formatTime(s.redisNow),
		"ttl_seconds":         s.TTL.Seconds(),
		"created_at":          formatTime(s.CreatedAt),
		"absolute_expires_at": formatTime(s.AbsoluteExpiresAt),
	})
}

// write gives s ttl from now, never past its absolute expiry, if its key still holds what was read, and
// brings s up to date. A session another program made gets the fields it lacks.
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
	s.wrote(r, value)
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

// fill completes a session another program made.
func (m *Manager) fill(s *Session) {
	if s.CreatedAt.IsZero() {
		s.CreatedAt = s.redisNow
	}
	if s.AbsoluteExpiresAt.IsZero() {
		s.AbsoluteExpiresAt = s.CreatedAt.Add(m.cfg.AbsoluteTTL)
	}
}

var errBadReply = errors.New("the script's answer has an unknown form")

// failed maps an error of a command on a session key.
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

// reading is what was found under an id: a session, or an error of this package. movedTo is set when a
// renewal left the id of the session that follows.
type reading struct {
	session Session
	movedTo string
	err     error
}

// readAll reads sessions in one round trip. The result has the order of ids. An error means none was read.
func (m *Manager) readAll(ctx context.Context, ids []string) ([]reading, error) {
	pipe := m.rdb.Pipeline()
	clock := pipe.Time(ctx)
	values := make([]*redis.StringCmd, len(ids))
	ttls := make([]*redis.DurationCmd, len(ids))
	for i, id := range ids {
		values[i] = pipe.Get(ctx, sessionKey(id))
		ttls[i] = pipe.PTTL(ctx, sessionKey(id))
	}
	_, _ = pipe.Exec(ctx) // each command has its own answer
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
	if s.remaining == -2 { // ended between the two commands
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

// List returns a user's sessions, oldest first, and takes ids without a session out of the index.
// It is empty, not an error, for an unknown user.
func (m *Manager) List(ctx context.Context, user string) ([]Session, error) {
	out := []Session{}
	if checkUserID(user) != nil {
		return out, nil
	}
	ids, err := m.rdb.SMembers(ctx, userKey(user)).Result()
	if err != nil {
		return nil, redislink.Unavailable("list", err)
	}
	var gone []string
	valid := slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return !ValidID(id) })
	for batch := range slices.Chunk(valid, readBatch) {
		all, err := m.readAll(ctx, batch)
		if err != nil {
			return nil, err
		}
		for i, r := range all {
			switch {
			case r.err == nil && r.session.UserID == user && (r.session.AbsoluteExpiresAt.IsZero() || r.session.Left() > 0):
				out = append(out, r.session)
			case errors.Is(r.err, ErrNotFound):
				gone = append(gone, batch[i])
			case errors.Is(r.err, ErrUnavailable):
				return nil, r.err
			}
		}
	}
	m.prune(ctx, user, gone)
	slices.SortFunc(out, func(a, b Session) int {
		if c := a.CreatedAt.Compare(b.CreatedAt); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return out, nil
}

// prune takes ids without a session out of a user's index. Each is blocked first: a Create that has
// added the id and not yet made the key finds it taken and starts over.
func (m *Manager) prune(ctx context.Context, user string, ids []string) {
	for batch := range slices.Chunk(ids, readBatch) {
		pipe := m.rdb.Pipeline()
		blocks := make([]*redis.StatusCmd, len(batch))
		for i, id := range batch {
			blocks[i] = pipe.SetArgs(ctx, sessionKey(id), blockedTombstone, redis.SetArgs{Mode: "NX", TTL: blockFor})
		}
		_, _ = pipe.Exec(ctx) // each command has its own answer
		var blocked []any
		for i, b := range blocks {
			if b.Err() == nil {
				blocked = append(blocked, batch[i])
			}
		}
		if len(blocked) == 0 {
			continue
		}
		if err := m.rdb.SRem(ctx, userKey(user), blocked...).Err(); err != nil {
			m.log.Warn("session: prune the user index", "err", err)
			return
		}
	}
}
