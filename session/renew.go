package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// A Change has the new values of a renewal. An empty field keeps the value of the session.
type Change struct {
	UserID  string
	Role    string
	Data    json.RawMessage // null removes the data
	Address string
	Agent   string
}

// Renew gives a session a new token, and so a new id. Call it at sign-in and when rights change, so
// that an attacker who knew the old token gains nothing. Data, creation time, TTL and absolute
// expiry stay the same, but a guest that gets another role gets Config.TTL. When Renew returns, the
// old token is invalid. Bindings end with [Renewed]
// and the new session. If Redis fails halfway, the session may be lost, but there are never two.
// The errors are those of Load and ErrInvalid.
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
		// The new id enters the index before the old key points to it. So a revocation of the user or
		// of the old id finds and blocks the new id at any moment.
		indexed, _, err := m.index(ctx, &s)
		if err != nil {
			return Session{}, "", err
		}
		moved := renewedTombstone(s.ID)
		r, err := writeScript.Run(ctx, m.rdb, []string{sessionKey(id)}, old.value, moved, renewedFor.Milliseconds(), 0, "").Int64Slice()
		if err != nil {
			return Session{}, "", failed("renew", err)
		}
		if r[0] != written { // the session was extended or revoked since it was read
			continue
		}
		made, err := m.make(ctx, &s, indexed)
		if err != nil {
			return Session{}, "", err
		}
		if !made {
			return Session{}, "", ErrNotFound // the session was revoked meanwhile
		}
		if old.Role == GuestRole {
			var guests guestMoves
			guests.add(&s, old.ExpiresAt)
			m.extendGuests(ctx, guests)
		}
		m.metrics.renewed.Inc()
		_ = m.rdb.SRem(ctx, userKey(old.UserID), id).Err() // if this fails, a later List prunes the id
		until := m.revocationLife()
		m.sawRenewed(renewal{from: id, to: s.ID}, until)
		m.notify(ctx, notice{Type: noticeRenewed, IDs: []string{id}, To: s.ID, Until: time.Now().Add(until).UnixMilli()})
		return s, token, nil
	}
	return Session{}, "", fmt.Errorf("%w: renew: the session changed at every attempt", ErrUnavailable)
}

// changed returns the session to create from old and c.
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
		if old.Role == GuestRole && c.Role != GuestRole && old.TTL == m.cfg.GuestTTL {
			s.TTL = m.cfg.TTL
		}
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
	followQueue = 1024 // renewals that wait for a lookup; further ones wait for the re-check
	followers   = 4    // lookups at a time
)

type renewal struct{ from, to string }

// followLocked queues a renewal for followAll if the old session has bindings on this node. m.mu is
// held.
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

// followAll looks up the new sessions of renewals, and ends the bindings of the old ones.
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
				m.markDue(r.from) // the next check finds the tombstone, or no key
			default:
				m.end(r.from, Cause{Reason: Revoked})
			}
		}
	}
}
