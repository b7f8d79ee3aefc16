package session

import (
	"context"
	"errors"
	"fmt"

	"github.com/fxcast/fxcast/internal/redislink"
)

// Load returns the session that a token opens. The error is ErrNotFound, ErrCorrupt or
// ErrUnavailable. A malformed token is ErrNotFound without a round trip. Load does not extend the
// session: see Use and Touch.
func (m *Manager) Load(ctx context.Context, token string) (Session, error) {
	if !ValidToken(token) {
		m.metrics.loads[loadNotFound].Inc()
		return Session{}, ErrNotFound
	}
	return m.LoadID(ctx, ID(token))
}

// Use loads the session of a token, as Load does, for a request of its user. With Config.AutoExtend
// it also extends the session if that is due. If Redis fails during the extension, Use still
// returns the session.
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

// LoadID returns a session by its public id. The errors are those of Load.
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
		// Another program wrote the session: add the missing fields and the expiry, once.
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
	return Session{}, fmt.Errorf("%w: the session changed at every attempt", ErrUnavailable)
}

// answers returns an error if Redis is known to be lost, so that a caller does not wait for it. Run
// notices when Redis is back.
func (m *Manager) answers() error {
	if m.silent.Load() {
		if refused := m.control.Refused(); refused != nil {
			return redislink.Unavailable("it answered last", refused)
		}
		return fmt.Errorf("%w: it does not answer", ErrUnavailable)
	}
	return nil
}

// Touch extends s if Config.AutoExtend is set and an extension is due, and returns the session. If
// none is due it returns s without a round trip. If another node was faster, it loads the session
// again, so the errors are those of Load.
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
	return m.load(ctx, s.ID) // another node has extended the session, or it has ended
}

// Extend extends a session by its own TTL from now on, up to its absolute expiry. The errors are
// those of Load.
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
	return Session{}, fmt.Errorf("%w: extend: the session changed at every attempt", ErrUnavailable)
}
