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

// IssueTicket returns a secret that opens the session once, within the returned time: for a WebSocket
// address, where neither a cookie nor a header can be sent and where the address may end up in a log.
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

// RedeemTicket returns the session of a ticket and uses the ticket up. ErrNotFound if it was used,
// is too old or never was, or if its session has ended or been renewed since.
func (m *Manager) RedeemTicket(ctx context.Context, ticket string) (Session, error) {
	s, err := m.byTicket(ctx, ticket, m.rdb.GetDel)
	if err == nil {
		m.metrics.tickets[ticketRedeemed].Inc()
	}
	return s, err
}

// PeekTicket is RedeemTicket without using the ticket up: to know whose it is before it is decided whether
// it may be used now. Only RedeemTicket lets somebody in.
func (m *Manager) PeekTicket(ctx context.Context, ticket string) (Session, error) {
	return m.byTicket(ctx, ticket, m.rdb.Get)
}

func (m *Manager) byTicket(ctx context.Context, ticket string, get func(context.Context, string) *redis.StringCmd) (Session, error) {
	if !validToken(ticket) {
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
