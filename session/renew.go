package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

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

const (
	followQueue = 1024 // renewals waiting to be looked up; further ones wait for the re-check
	followers   = 4    // looked up at once
)

type renewal struct{ from, to string }

// followLocked has the session after a renewal looked up, if it has bindings here. m.mu is held.
func (m *Manager) followLocked(r renewal) {
	e := m.bound[r.from]
	if e == nil {
		return
	}
	select {
	case m.follow <- r:
	default:
		m.metrics.followDropped.Inc()
		e.due = true
	}
}

// followAll looks up the sessions others were renewed to, and tells the bindings.
func (m *Manager) followAll(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case r := <-m.follow:
			next, err := m.load(ctx, r.to)
			switch {
			case err == nil:
				m.end(r.from, Cause{Reason: Renewed, Next: next})
			case errors.Is(err, ErrUnavailable):
				m.markDue(r.from) // its tombstone, or its absence, decides at the next check
			default:
				m.end(r.from, Cause{Reason: Revoked})
			}
		}
	}
}
