package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// A Draft describes a session to create.
type Draft struct {
	UserID  string          // 1 to 128 bytes of plain text
	Role    string          // 1 to 64 of [A-Za-z0-9_.-]
	Data    json.RawMessage // any JSON, at most Config.MaxData bytes; nil = none
	TTL     time.Duration   // idle lifetime, 1 s to 366 d; 0 = Config.TTL, or Config.GuestTTL for GuestRole
	Address string          // of the client, cut to 64 bytes
	Agent   string          // of the client, cut to 256 bytes
}

// Create stores a new session and returns it with its token, the secret that opens it. No later
// call returns the token. The error is ErrInvalid if the draft is not acceptable, ErrTooManyGuests,
// or ErrUnavailable.
func (m *Manager) Create(ctx context.Context, d Draft) (Session, string, error) {
	if err := m.checkDraft(&d); err != nil {
		return Session{}, "", err
	}
	s := Session{UserID: d.UserID, Role: d.Role, Data: d.Data, TTL: d.TTL, Address: d.Address, Agent: d.Agent}
	if s.Role == GuestRole {
		if err := m.admitGuest(ctx, s.TTL); err != nil {
			return Session{}, "", err
		}
	}
	// A second attempt is needed only if the user is signed out everywhere at this moment.
	for range writeAttempts {
		token := newToken()
		s.ID = ID(token)
		now, count, err := m.index(ctx, &s)
		if err != nil {
			return Session{}, "", err
		}
		s.CreatedAt, s.AbsoluteExpiresAt = now, now.Add(m.cfg.AbsoluteTTL)
		made, err := m.make(ctx, &s, now)
		if err != nil {
			return Session{}, "", err
		}
		if !made {
			continue
		}
		m.metrics.created.Inc()
		if count%pruneEvery == 0 { // without this, the index of a user who is never listed would grow forever
			if _, err := m.List(ctx, s.UserID); err != nil {
				m.log.Warn("session: prune the user index", "err", err)
			}
		}
		return s, token, nil
	}
	return Session{}, "", fmt.Errorf("%w: create: the key was taken at every attempt", ErrUnavailable)
}

// make writes the session s, whose id entered the user index at the given time of Redis's clock.
// made is false if the key is taken or blocked, or if the id may have left the index since.
func (m *Manager) make(ctx context.Context, s *Session, indexed time.Time) (made bool, err error) {
	s.LastSeenAt = indexed
	if s.value, err = encodeSession(*s); err != nil {
		return false, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	code, err := m.create(ctx, s, indexed)
	return code == written, err
}

func (m *Manager) checkDraft(d *Draft) error {
	if err := checkUserID(d.UserID); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if err := checkRole(d.Role); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if err := m.checkData(&d.Data); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if d.TTL == 0 {
		d.TTL = m.cfg.TTL
		if d.Role == GuestRole {
			d.TTL = m.cfg.GuestTTL
		}
	}
	if d.TTL < time.Second || d.TTL > maxTTL {
		return fmt.Errorf("%w: ttl: %s is not between 1s and %s", ErrInvalid, d.TTL, maxTTL)
	}
	d.TTL = d.TTL.Truncate(time.Millisecond)
	d.Address, d.Agent = cut(d.Address, maxAddress), cut(d.Agent, maxAgent)
	return nil
}

func (m *Manager) checkData(data *json.RawMessage) error {
	switch {
	case len(*data) == 0:
		return nil
	case len(*data) > m.cfg.MaxData:
		return fmt.Errorf("data: %d bytes; at most %d are allowed", len(*data), m.cfg.MaxData)
	case !json.Valid(*data):
		return errors.New("data: not JSON")
	}
	return nil
}

func checkRole(role string) error {
	if role == "" {
		return errors.New("role: missing")
	}
	if len(role) > maxRole {
		return fmt.Errorf("role: longer than %d bytes", maxRole)
	}
	for _, c := range []byte(role) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '.' && c != '-' {
			return errors.New("role: only letters, digits, _ . and - are allowed")
		}
	}
	return nil
}
