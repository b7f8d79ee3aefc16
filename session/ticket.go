package session

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/internal/redislink"
)

// TicketTTL is how long a ticket can be redeemed.
const TicketTTL = 30 * time.Second

// Redis holds only the hash of a ticket, as of a token.
func ticketKey(ticket string) string { return "session:ticket:" + ID(ticket) }

// IssueTicket returns a secret that opens a session once, within expiresIn. It is for a WebSocket
// URL of a client that can send neither a cookie nor a header. The URL may end up in a log, so the
// ticket is short-lived. The errors are those of Load.
func (m *Manager) IssueTicket(ctx context.Context, id string) (ticket string, expiresIn time.Duration, err error) {
	if _, err := m.load(ctx, id); err != nil {
		return "", 0, err
	}
	ticket = newToken()
	if err := m.rdb.Set(ctx, ticketKey(ticket), id, TicketTTL).Err(); err != nil {
		return "", 0, redislink.Unavailable("issue ticket", err)
	}
	m.metrics.tickets[ticketIssued].Inc()
	return ticket, TicketTTL, nil
}

// RedeemTicket returns the session of a ticket and uses up the ticket. The error is ErrNotFound if
// the ticket was used, has expired or never existed, or if its session has ended or was renewed.
// Otherwise it is ErrCorrupt or ErrUnavailable.
func (m *Manager) RedeemTicket(ctx context.Context, ticket string) (Session, error) {
	s, err := m.byTicket(ctx, ticket, m.rdb.GetDel)
	if err == nil {
		m.metrics.tickets[ticketRedeemed].Inc()
	}
	return s, err
}

// PeekTicket returns the session of a ticket without using up the ticket, so that a caller can
// identify the user before it decides whether to allow the request. Only RedeemTicket
// authenticates.
func (m *Manager) PeekTicket(ctx context.Context, ticket string) (Session, error) {
	return m.byTicket(ctx, ticket, m.rdb.Get)
}

func (m *Manager) byTicket(ctx context.Context, ticket string, get func(context.Context, string) *redis.StringCmd) (Session, error) {
	if !ValidToken(ticket) {
		m.metrics.tickets[ticketRefused].Inc()
		return Session{}, ErrNotFound
	}
	if err := m.answers(); err != nil {
		return Session{}, err
	}
	id, err := get(ctx, ticketKey(ticket)).Result()
	if errors.Is(err, redis.Nil) {
		m.metrics.tickets[ticketRefused].Inc()
		return Session{}, ErrNotFound
	}
	if err != nil {
		return Session{}, failed("redeem ticket", err)
	}
	s, err := m.LoadID(ctx, id)
	if err != nil {
		m.metrics.tickets[ticketRefused].Inc()
		return Session{}, err
	}
	return s, nil
}
