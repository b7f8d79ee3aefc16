package session

import (
	"context"
	"errors"
	"fmt"
)

// Load returns the session a token opens. A token that cannot be one is ErrNotFound without asking Redis.
// Load does not extend: see Use and Touch.
func (m *Manager) Load(ctx context.Context, token string) (Session, error) {
	if !validToken(token) {
		m.metrics.loads[loadNotFound].Inc()
		return Session{}, ErrNotFound
	}
	return m.LoadID(ctx, ID(token))
}

// Use is Load for a request of the session's user: it extends the session if auto-extend is on and that
// is due. Redis failing at the extension does not take a good session away.
func (m *Manager) Use(ctx context.Context, token string) (Session, error) {
	s, err := m.Load(ctx, token)
	if err != nil {
		return Session{}, err
	}
	extended, err := m.Touch(ctx, s)
	if errors.Is(err, ErrUnavailable) {
		m.log.Warn("session: not extended", "session_id", s.ID, "err", err)
		return s, nil
	}
	return extended, err
}

// LoadID returns a session by its public id.
func (m *Manager) LoadID(ctx context.Context, id string) (Session, error) {
	s, err := m.load(ctx, id)
	m.metrics.loads[loadResultOf(err)].Inc()
	if errors.Is(err, ErrCorrupt) {
		m.log.Warn("session: key cannot be read", "session_id", id, "err", err)
	}
	return s, err
}

func (m *Manager) load(ctx context.Context, id string) (Session, error) {
	if !ValidID(id) || m.isRevoked(id) {
		return Session{}, ErrNotFound
	}
	if err := m.answers(); err != nil {
		return Session{}, err
	}
	for range writeAttempts {
		s, err := m.read(ctx, id)
		if err != nil {
			return Session{}, err
		}
		if s.complete() {
			return s, nil
		}
		// Written by another program: give it what it lacks, once.
		ttl := s.TTL
		if s.remaining > 0 {
			ttl = s.remaining
		}
		code, err := m.write(ctx, &s, ttl)
		switch {
		case err != nil:
			return Session{}, err
		case code == written:
			m.metrics.adopted.Inc()
			return s, nil
		case code == passed:
			return Session{}, ErrNotFound
		}
	}
	return Session{}, fmt.Errorf("%w: the session changed at every try", ErrUnavailable)
}

// answers spares a caller the wait where Redis is known to be lost; Run finds out when it is back.
func (m *Manager) answers() error {
	if m.silent.Load() {
		return fmt.Errorf("%w: it does not answer", ErrUnavailable)
	}
	return nil
}

// Touch extends s if auto-extend is on and an extension is due; otherwise it returns s without a round trip.
func (m *Manager) Touch(ctx context.Context, s Session) (Session, error) {
	if !m.cfg.AutoExtend || !s.ExtensionDue() {
		return s, nil
	}
	code, err := m.write(ctx, &s, s.TTL)
	switch {
	case err != nil:
		return s, err
	case code == written:
		m.metrics.extended.Inc()
		return s, nil
	}
	return m.load(ctx, s.ID) // another node was first, or it is gone
}

// Extend gives a session its own ttl again, counted from now, never past its absolute expiry.
func (m *Manager) Extend(ctx context.Context, id string) (Session, error) {
	for range writeAttempts {
		s, err := m.load(ctx, id)
		if err != nil {
			return Session{}, err
		}
		code, err := m.write(ctx, &s, s.TTL)
		switch {
		case err != nil:
			return Session{}, err
		case code == written:
			m.metrics.extended.Inc()
			return s, nil
		}
	}
	return Session{}, fmt.Errorf("%w: extend: the session changed at every try", ErrUnavailable)
}
