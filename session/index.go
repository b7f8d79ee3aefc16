package session

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/internal/redislink"
)

// indexLife returns how long the index of a user stays after a session of the role enters it. An
// index of a guest ends with the guest; of others it outlives every session in it.
func (m *Manager) indexLife(role string, ttl time.Duration) time.Duration {
	if role == GuestRole {
		return ttl + indexAge // the session is written after its index
	}
	return m.cfg.AbsoluteTTL + time.Hour
}

// index adds a session to its user's index and returns Redis's time and the size of the index.
func (m *Manager) index(ctx context.Context, s *Session) (time.Time, int64, error) {
	if err := m.answers(); err != nil {
		return time.Time{}, 0, err
	}
	r, err := indexScript.Run(ctx, m.rdb, []string{userKey(s.UserID)}, s.ID, m.indexLife(s.Role, s.TTL).Milliseconds()).Int64Slice()
	if err != nil {
		return time.Time{}, 0, redislink.Unavailable("index", err)
	}
	return time.UnixMilli(r[0]).UTC(), r[1], nil
}

// List returns a user's sessions, oldest first, and removes ids without a session from the index.
// For an unknown user it returns an empty slice. The error is ErrUnavailable.
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

// prune removes ids without a session from a user's index. It blocks each id first: a Create that
// has added the id but not yet written the key finds the key taken, and starts again.
func (m *Manager) prune(ctx context.Context, user string, ids []string) {
	for batch := range slices.Chunk(ids, readBatch) {
		pipe := m.rdb.Pipeline()
		blocks := make([]*redis.StatusCmd, len(batch))
		for i, id := range batch {
			blocks[i] = pipe.SetArgs(ctx, sessionKey(id), blockedTombstone, redis.SetArgs{Mode: "NX", TTL: blockFor})
		}
		_ = redislink.Exec(ctx, pipe) // each command has its own answer
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

// unindex removes deleted sessions, given by id with their last value, from their users' indexes.
// If this fails, a later List prunes them.
func (m *Manager) unindex(ctx context.Context, deleted map[string]string) {
	pipe := m.rdb.Pipeline()
	for id, value := range deleted {
		var s Session
		if decodeSession(value, &s) == nil {
			pipe.SRem(ctx, userKey(s.UserID), id)
		}
	}
	if pipe.Len() > 0 {
		_ = redislink.Exec(ctx, pipe)
	}
}
