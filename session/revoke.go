package session

import (
	"context"
	"slices"
	"time"

	"github.com/fxcast/fxcast/internal/redislink"
)

// maxHops bounds the renewals in a row that a revocation follows.
const maxHops = 8

// Revoke ends a session by its public id: it deletes the key, and the bindings end on every node.
// If the session was renewed within the last 30 s, Revoke ends the new session. The error is
// ErrNotFound if there was no session, or ErrUnavailable.
func (m *Manager) Revoke(ctx context.Context, id string) error {
	if !ValidID(id) {
		return ErrNotFound
	}
	n, err := m.revoke(ctx, []string{id}, false)
	if err != nil {
		return err
	}
	if n == 0 {
		return ErrNotFound
	}
	return nil
}

// RevokeUser ends all sessions of a user and returns their number, also with an error. A session
// that is being created at the same moment is either ended, too, or created afterwards.
func (m *Manager) RevokeUser(ctx context.Context, user string) (int, error) {
	if checkUserID(user) != nil {
		return 0, nil
	}
	ids, err := m.rdb.SMembers(ctx, userKey(user)).Result()
	if err != nil {
		return 0, redislink.Unavailable("revoke user", err)
	}
	n := 0
	for batch := range slices.Chunk(ids, revokeBatch) {
		valid := slices.DeleteFunc(slices.Clone(batch), func(id string) bool { return !ValidID(id) })
		k, err := m.revoke(ctx, valid, true)
		n += k
		if err != nil {
			return n, err
		}
		gone := make([]any, len(batch))
		for i, id := range batch {
			gone[i] = id
		}
		if err := m.rdb.SRem(ctx, userKey(user), gone...).Err(); err != nil {
			m.log.Warn("session: prune the user index", "err", err)
		}
	}
	return n, nil
}

// revoke deletes sessions, and the sessions that they were renewed to. With block it leaves a
// tombstone for each missing key, which stops a Create that is about to write the key.
func (m *Manager) revoke(ctx context.Context, ids []string, block bool) (int, error) {
	n := 0
	for hop := 0; len(ids) > 0 && hop < maxHops; hop++ {
		mark := ""
		if block || hop > 0 {
			mark = blockedTombstone
		}
		results, err := m.scriptEach(ctx, revokeScript, ids, func(int) []any { return []any{mark, blockFor.Milliseconds()} })
		if err != nil {
			return n, redislink.Unavailable("revoke", err)
		}
		var next []string
		var failure error
		deleted := make(map[string]string, len(ids)) // id -> value
		for i, r := range results {
			answer, err := r.Slice()
			if err == nil && len(answer) != 2 {
				err = errBadReply
			}
			if err != nil {
				failure = redislink.Unavailable("revoke", err)
				continue
			}
			value, _ := answer[1].(string)
			if answer[0] == int64(1) {
				deleted[ids[i]] = value
			}
			if to, ok := parseTombstone(value); ok && to != "" {
				next = append(next, to)
			}
		}
		n += len(deleted)
		m.metrics.revoked.Add(float64(len(deleted)))
		// The notice also has ids without a key: the answer to a first attempt may have been lost.
		until := m.revocationLife()
		m.sawRevoked(ids, until)
		m.notify(ctx, notice{Type: noticeRevoked, IDs: ids, Until: time.Now().Add(until).UnixMilli()})
		m.unindex(ctx, deleted)
		if failure != nil {
			return n, failure
		}
		ids = next
	}
	return n, nil
}
