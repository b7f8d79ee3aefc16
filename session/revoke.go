package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/internal/redislink"
)

// maxHops is how many renewals in a row a revocation follows.
const maxHops = 8

// Revoke ends a session: its key is deleted, its bindings end on every node. A session that was
// renewed moments ago is followed to its new id. ErrNotFound if there was none.
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

// RevokeUser ends all sessions of a user and returns how many there were. A session being made at the
// same moment is either ended too or comes after.
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

// revoke deletes sessions and those they were renewed to. block leaves a tombstone where a key is
// missing, for a key that is about to be made.
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
		// The notice goes out for ids that were not there too: the answer to a first try may have been lost.
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

// unindex takes deleted sessions, given with the value they had, out of their users' indexes. What
// fails here is pruned by a later read.
func (m *Manager) unindex(ctx context.Context, deleted map[string]string) {
	pipe := m.rdb.Pipeline()
	for id, value := range deleted {
		var s Session
		if decodeSession(value, &s) == nil {
			pipe.SRem(ctx, userKey(s.UserID), id)
		}
	}
	if pipe.Len() > 0 {
		_, _ = pipe.Exec(ctx)
	}
}

// scriptEach runs a script on each session key, in one pipeline. args gives the arguments of the i-th.
// An error means that none ran; otherwise each command has its own answer.
func (m *Manager) scriptEach(ctx context.Context, script *redis.Script, ids []string, args func(i int) []any) ([]*redis.Cmd, error) {
	out := make([]*redis.Cmd, len(ids))
	for attempt := 0; ; attempt++ {
		pipe := m.rdb.Pipeline()
		for i, id := range ids {
			if out[i] == nil || redislink.Code(out[i].Err()) == "NOSCRIPT" {
				out[i] = script.EvalSha(ctx, pipe, []string{sessionKey(id)}, args(i)...)
			}
		}
		_, err := pipe.Exec(ctx)
		if attempt == 0 && slices.ContainsFunc(out, func(c *redis.Cmd) bool { return redislink.Code(c.Err()) == "NOSCRIPT" }) {
			if err := script.Load(ctx, m.rdb).Err(); err != nil {
				return nil, err
			}
			continue
		}
		if !slices.ContainsFunc(out, func(c *redis.Cmd) bool { return c.Err() == nil }) {
			return nil, err
		}
		return out, nil
	}
}

// Change says what a renewal changes. Empty fields stay as they are.
type Change struct {
	UserID  string
	Role    string
	Data    json.RawMessage // "null" takes the data away
	Address string
	Agent   string
}

// Renew gives a session a new token and so a new id, as must be done at sign-in and when rights
// change. Data, creation, ttl and absolute expiry are carried over. The old token is dead when Renew
// returns; bindings end with [Renewed] and the new session. If Redis fails half way the session is
// lost, never doubled.
func (m *Manager) Renew(ctx context.Context, id string, c Change) (Session, string, error) {
	for range writeAttempts {
		old, err := m.load(ctx, id)
		if err != nil {
			return Session{}, "", err
		}
		s, err := m.changed(old, c)
		if err != nil {
			return Session{}, "", err
		}
		token := newToken()
		s.ID = ID(token)
		// The new id is in the index before the old key says where it went, so that revoking the
		// user or the old id at any moment finds, and blocks, the new one.
		indexed, _, err := m.index(ctx, s.UserID, s.ID)
		if err != nil {
			return Session{}, "", err
		}
		moved := renewedTombstone(s.ID)
		r, err := writeScript.Run(ctx, m.rdb, []string{sessionKey(id)}, old.value, moved, renewedFor.Milliseconds(), 0, "").Int64Slice()
		if err != nil {
			return Session{}, "", failed("renew", err)
		}
		if r[0] != written { // extended or revoked since it was read
			continue
		}
		made, err := m.make(ctx, &s, indexed)
		if err != nil {
			return Session{}, "", err
		}
		if !made {
			return Session{}, "", ErrNotFound // revoked meanwhile
		}
		m.metrics.renewed.Inc()
		_ = m.rdb.SRem(ctx, userKey(old.UserID), id).Err() // pruned by a later read if this fails
		until := m.revocationLife()
		m.sawRenewed(renewal{from: id, to: s.ID}, until)
		m.notify(ctx, notice{Type: noticeRenewed, IDs: []string{id}, To: s.ID, Until: time.Now().Add(until).UnixMilli()})
		return s, token, nil
	}
	return Session{}, "", fmt.Errorf("%w: renew: the session changed at every try", ErrUnavailable)
}

// changed returns a session to be made from old and c.
func (m *Manager) changed(old Session, c Change) (Session, error) {
	s := Session{
		UserID: old.UserID, Role: old.Role, Data: old.Data, TTL: old.TTL,
		CreatedAt: old.CreatedAt, AbsoluteExpiresAt: old.AbsoluteExpiresAt, Address: old.Address, Agent: old.Agent,
	}
	var faults []error
	if c.UserID != "" {
		s.UserID = c.UserID
		faults = append(faults, checkUserID(c.UserID))
	}
	if c.Role != "" {
		s.Role = c.Role
		faults = append(faults, checkRole(c.Role))
	}
	if len(c.Data) > 0 {
		s.Data = c.Data
		faults = append(faults, m.checkData(&c.Data))
		if string(c.Data) == "null" {
			s.Data = nil
		}
	}
	if c.Address != "" {
		s.Address = cut(c.Address, maxAddress)
	}
	if c.Agent != "" {
		s.Agent = cut(c.Agent, maxAgent)
	}
	if err := errors.Join(faults...); err != nil {
		return Session{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return s, nil
}
