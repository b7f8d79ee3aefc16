package session

import "context"

// What the tests look into.
const (
	RenewedTombstonePrefix = tombstonePrefix
	BlockedTombstone       = blockedTombstone
	IndexAge               = indexAge
)

// RefreshLeases does at once what Run does every 15 s.
func (l *Leases) RefreshLeases(ctx context.Context) { l.refresh(ctx) }

// Remembered is how many revoked ids are remembered.
func (m *Manager) Remembered() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.revoked)
}

// Bound is how many sessions have bindings.
func (m *Manager) Bound() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.bound)
}

// CheckOnce re-checks all bound sessions.
func (m *Manager) CheckOnce(ctx context.Context) {
	m.mu.Lock()
	ids := m.dueLocked(true)
	m.mu.Unlock()
	m.checkThese(ctx, ids)
}

// ReadOnce does what every readEvery-th re-check does.
func (m *Manager) ReadOnce(ctx context.Context) {
	m.mu.Lock()
	ids := m.dueLocked(true)
	m.mu.Unlock()
	m.reread(ctx, ids)
}

// Heard hands a message of the control channel to the Manager.
func (m *Manager) Heard(payload string) { m.onNotice(payload) }

// Decode reads the value of a session key.
func Decode(value string) (Session, error) {
	var s Session
	err := decodeSession(value, &s)
	return s, err
}

// Encode writes the value of a session key.
func Encode(s Session) (string, error) { return encodeSession(s) }
