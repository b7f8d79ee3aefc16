// Package session keeps who may listen, and for how long, in Redis, and ends what is bound to a
// session (open sockets) when the session ends, on every node.
//
// # Keys
//
//	session:<id>             string, JSON; id = hex SHA-256 of the token; the token itself is never stored
//	session:user:<user_id>   set of ids of a user's sessions
//	session:ticket:<hash>    string, the id of the session a one-use ticket belongs to
//	session:connections:<user_id>  sorted set, connection id by the end of its lease (Unix ms)
//
// The value of a session key is a JSON object another program may write:
//
//	{"user_id":"123","role":"user","data":{…},"ttl_seconds":3600,"created_at":"2026-11-22T10:15:00.000Z",
//	 "last_seen_at":"…","absolute_expires_at":"…","address":"192.0.2.7","agent":"…"}
//
// Required are user_id (string or whole number) and role. Times are RFC 3339 or Unix seconds. Without
// ttl_seconds the expiry the key has when first seen is its ttl; a key without expiry is given the ttl;
// without absolute_expires_at it becomes created_at (or the moment it was first seen) plus the absolute
// lifetime. Fields not named here are kept. A program that makes sessions should SADD the id to the
// user's set too, before it makes the key: RevokeUser and List find sessions by that set. Deleting the key ends
// the session; its sockets close within 5 s. The token should carry at least 128 random bits.
//
// A value that starts with {"tombstone": is no session but says, for a moment, that one was renewed or
// must not be made.
//
// # Time
//
// Redis alone decides when a session ends: expiries are its own and absolute lifetimes are compared
// with its clock. Waits on this node use monotonic time, so a wall clock that jumps moves nothing.
//
// # When Redis fails
//
// Slow or gone: every call returns an error that wraps [ErrUnavailable]; nobody is let in by an error.
// When nothing has been answered for 3 s they do so at once, until Run finds Redis back; only revocations are still tried.
// Bindings keep going until [Config].Grace after their session was last confirmed, then end with [Unverified].
// Restarting (LOADING) counts as gone. Back with its data: ids seen revoked are deleted again, so an
// older copy of the data does not bring them back. Back without its data: the sessions are gone and
// their bindings end. Full: no session can be made; existing ones can be extended and revoked.
package session

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/fxcast/fxcast/internal/redislink"
)

// What a caller may branch on.
var (
	// ErrNotFound: no such session, token or ticket, or it has ended.
	ErrNotFound = errors.New("session: not found")
	// ErrCorrupt: the key exists and cannot be read as a session. To a client it is the same as ErrNotFound.
	ErrCorrupt = errors.New("session: corrupt")
	// ErrUnavailable: Redis did not answer, or refused. Nothing is known about the session.
	ErrUnavailable = redislink.ErrUnavailable
	// ErrInvalid: a draft or change is not acceptable; the text names the field.
	ErrInvalid = errors.New("session: invalid")
)

// Session is what is known about a session when it was read. It is a value: changing it changes nothing in Redis.
// Its JSON form has no secret in it.
type Session struct {
	ID                string          `json:"session_id"` // public: safe in URLs and logs
	UserID            string          `json:"user_id"`
	Role              string          `json:"role"`
	Data              json.RawMessage `json:"data,omitempty"` // shared, not to be written to
	CreatedAt         time.Time       `json:"created_at,omitzero"`
	LastSeenAt        time.Time       `json:"last_seen_at,omitzero"` // as of the last extension
	ExpiresAt         time.Time       `json:"expires_at"`            // unless extended
	AbsoluteExpiresAt time.Time       `json:"absolute_expires_at,omitzero"`
	TTL               time.Duration   `json:"-"` // what an extension gives
	Address           string          `json:"address,omitempty"`
	Agent             string          `json:"agent,omitempty"`

	value     string        // of the key, as read
	remaining time.Duration // of the key when read; negative: it had no expiry
	redisNow  time.Time     // Redis's clock when read
	readAt    time.Time     // this node's, monotonic
}

// complete reports whether the key has all this package counts on.
func (s *Session) complete() bool {
	return s.remaining > 0 && !s.AbsoluteExpiresAt.IsZero() && s.remaining <= s.Left()+time.Second && s.Left() > 0
}

// Left is the time to the absolute expiry, by Redis's clock when s was read.
func (s *Session) Left() time.Duration { return s.AbsoluteExpiresAt.Sub(s.redisNow) }

// idle is the time since the last extension, by Redis's clock where that makes sense, else by the time left.
func (s *Session) idle() time.Duration {
	if d := s.redisNow.Sub(s.LastSeenAt); !s.LastSeenAt.IsZero() && d >= 0 {
		return d
	}
	return s.TTL - s.remaining
}

// ExtensionDue reports whether a use should extend s: the last extension is at least a third of the
// ttl ago, and the absolute lifetime leaves something to gain.
func (s *Session) ExtensionDue() bool {
	gain := min(s.TTL, s.Left()) - s.remaining
	return s.idle() >= s.TTL/3 && gain >= min(time.Second, s.TTL/3)
}
