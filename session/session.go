// Package session stores sessions in Redis: which user may connect, with which role, and for how
// long. When a session ends, the package ends everything that is bound to it, such as sockets, on
// every node.
//
// # Keys
//
//	session:<id>             string, JSON; id = hex SHA-256 of the token; the token itself is never stored
//	session:user:<user_id>   set of ids of a user's sessions
//	session:ticket:<hash>    string, the id of the session that a one-use ticket opens
//	session:guests           hash, number of guests by the minute in which they end
//	session:connections:<user>  sorted set, connection id by the end of its lease (Unix ms);
//	                         <user> is the argument of Leases.Acquire
//
// The value of a session key is a JSON object, which another program may write:
//
//	{"user_id":"123","role":"user","data":{…},"ttl_seconds":3600,"created_at":"2026-11-22T10:15:00.000Z",
//	 "last_seen_at":"…","absolute_expires_at":"…","address":"192.0.2.7","agent":"…"}
//
// The fields user_id (string or whole number) and role are required. Times are RFC 3339, or Unix
// time in seconds or milliseconds. The first node that reads a session adds what is missing.
// ttl_seconds becomes the expiry of the key, and a key without expiry gets Config.TTL.
// absolute_expires_at becomes created_at, or the time of that read, plus Config.AbsoluteTTL. Other
// fields are kept.
//
// A program that creates sessions should also SADD the id to the user's set, before it writes the
// key: RevokeUser and List find sessions by that set. Deleting the key ends the session; its
// sockets close within 5 s. The token should have at least 128 random bits.
//
// A value that starts with {"tombstone": is not a session. For a short time it records that a
// session was renewed or must not be created.
//
// # Time
//
// Only Redis decides when a session ends: keys expire in Redis, and absolute lifetimes are compared
// with its clock. Waits on a node use monotonic time, so a jump of its wall clock has no effect.
//
// # When Redis fails
//
//   - Redis is slow, gone or restarting (LOADING): every call returns an error that wraps
//     [ErrUnavailable], and an error never signs anyone in. If Redis answers nothing for 3 s, most calls
//     return the error at once until Run finds Redis back.
//   - A binding stays until its session was not confirmed for [Config].Grace. Then it ends with
//     [Unverified].
//   - Redis comes back with its data: revoked ids are deleted again, in case the data is an older copy.
//   - Redis comes back without its data: the sessions are gone, and their bindings end.
//   - Redis is full: no session can be created, but existing ones can be extended and revoked.
package session

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/fxcast/fxcast/internal/redislink"
)

// Errors that a caller may test with errors.Is.
var (
	// ErrNotFound means that there is no such session, token or ticket, or that it has ended.
	ErrNotFound = errors.New("session: not found")
	// ErrCorrupt means that the key exists but cannot be read as a session. A client should see no
	// difference from ErrNotFound.
	ErrCorrupt = errors.New("session: corrupt")
	// ErrUnavailable means that Redis did not answer, or refused. The session may or may not exist.
	ErrUnavailable = redislink.ErrUnavailable
	// ErrInvalid means that a draft, a change or a role table is not acceptable. The text names the
	// field.
	ErrInvalid = errors.New("session: invalid")
)

// A Session is the state of a session when it was read. It is a copy: a change to it does not
// change Redis. Its JSON form contains no secret.
type Session struct {
	ID                string          `json:"session_id"` // public: safe in URLs and logs
	UserID            string          `json:"user_id"`
	Role              string          `json:"role"`
	Data              json.RawMessage `json:"data,omitempty"` // shared; must not be changed
	CreatedAt         time.Time       `json:"created_at,omitzero"`
	LastSeenAt        time.Time       `json:"last_seen_at,omitzero"` // the time of the last extension
	ExpiresAt         time.Time       `json:"expires_at"`            // unless the session is extended
	AbsoluteExpiresAt time.Time       `json:"absolute_expires_at,omitzero"`
	TTL               time.Duration   `json:"-"` // the idle lifetime; an extension lasts this long
	Address           string          `json:"address,omitempty"`
	Agent             string          `json:"agent,omitempty"`

	value     string        // of the key, as read
	remaining time.Duration // to the expiry of the key when it was read; negative: it had no expiry
	redisNow  time.Time     // the clock of Redis when the key was read
	readAt    time.Time     // the clock of this node at that time, monotonic
}

// complete reports whether the key has every field and expiry that this package relies on.
func (s *Session) complete() bool {
	return s.remaining > 0 && !s.AbsoluteExpiresAt.IsZero() && s.remaining <= s.Left()+time.Second && s.Left() > 0
}

// Left returns the time from the reading of s to its absolute expiry, by the clock of Redis.
func (s *Session) Left() time.Duration { return s.AbsoluteExpiresAt.Sub(s.redisNow) }

// idle returns the time since the last extension. If the clock of Redis contradicts LastSeenAt, it
// is derived from the remaining time.
func (s *Session) idle() time.Duration {
	if d := s.redisNow.Sub(s.LastSeenAt); !s.LastSeenAt.IsZero() && d >= 0 {
		return d
	}
	return s.TTL - s.remaining
}

// ExtensionDue reports whether activity should extend s: the last extension was at least a third of
// the TTL ago, and the absolute expiry allows a gain of a second or more.
func (s *Session) ExtensionDue() bool {
	gain := min(s.TTL, s.Left()) - s.remaining
	return s.idle() >= s.TTL/3 && gain >= min(time.Second, s.TTL/3)
}
