package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/fxcast/fxcast/cache"
	"github.com/fxcast/fxcast/redisadmin"
	"github.com/fxcast/fxcast/web/endpoint"
)

// ErrNotPermitted says that Redis answered, and does not let its user do what was asked.
var ErrNotPermitted = errors.New("web: Redis does not permit it")

// getRedisHealth is always 200: what is wrong stands in the body.
func (s *Server) getRedisHealth(w http.ResponseWriter, r *http.Request) error {
	return endpoint.WriteJSON(w, http.StatusOK, s.cfg.Admin.Health(r.Context()))
}

func (s *Server) getRedisStats(w http.ResponseWriter, r *http.Request) error {
	stats, err := s.cfg.Admin.Stats(r.Context())
	if err != nil {
		return ofRedis(err)
	}
	return endpoint.WriteJSON(w, http.StatusOK, stats)
}

func (s *Server) getRedisMemory(w http.ResponseWriter, r *http.Request) error {
	memory, err := s.cfg.Admin.Memory(r.Context())
	if err != nil {
		return ofRedis(err)
	}
	return endpoint.WriteJSON(w, http.StatusOK, memory)
}

var slowLimit = endpoint.Limit{Default: 50, Most: 1000}

// getSlowLog lists the newest slow commands. Their values are not shown.
func (s *Server) getSlowLog(w http.ResponseWriter, r *http.Request) error {
	limit, err := slowLimit.Read(r)
	if err != nil {
		return err
	}
	entries, err := s.cfg.Admin.SlowLog(r.Context(), limit)
	if err != nil {
		return ofRedis(err)
	}
	if entries == nil {
		entries = []redisadmin.SlowEntry{}
	}
	return endpoint.WriteJSON(w, http.StatusOK, entries)
}

// A configAnswer says how Redis is configured, and how it might be better.
type configAnswer struct {
	Drift    redisadmin.Drift    `json:"drift"`
	Optimise []redisadmin.Advice `json:"optimise"` // null: see missing
	Missing  string              `json:"missing,omitempty"`
}

// getRedisConfig proposes and changes nothing: that is for `broadcaster monitor`.
func (s *Server) getRedisConfig(w http.ResponseWriter, r *http.Request) error {
	drift, err := s.cfg.Admin.Drift(r.Context())
	if err != nil {
		return ofRedis(err)
	}
	answer := configAnswer{Drift: drift}
	answer.Optimise, err = s.cfg.Admin.Optimize(r.Context())
	switch {
	case errors.Is(err, redisadmin.ErrNotOffered):
		answer.Missing = "this Redis does not tell its settings, or not to this user"
	case err != nil:
		return ofRedis(err)
	}
	return endpoint.WriteJSON(w, http.StatusOK, answer)
}

// ofRedis tells a server that is gone from one that does not have what was asked.
func ofRedis(err error) error {
	switch {
	case errors.Is(err, redisadmin.ErrNotOffered):
		return &endpoint.Problem{Status: http.StatusNotImplemented, Title: "Not available here", Detail: "this Redis does not tell, or not to this user", Cause: err}
	case errors.Is(err, redisadmin.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
		return endpoint.Unavailable("Redis can not be reached; try again", err)
	}
	return err
}

type (
	hitRatioAnswer struct {
		Server redisadmin.HitRatio `json:"server"` // all programs and keys
		Cache  cacheRatio          `json:"cache"`
		Node   string              `json:"node"` // whose cache look-ups these are
		// Why the server's numbers are missing.
		Missing string `json:"missing,omitempty"`
	}
	cacheRatio struct {
		lookups
		Namespaces map[string]lookups `json:"namespaces"`
	}
	// lookups are those of this process since it began.
	lookups struct {
		Hits   uint64   `json:"hits"`
		Misses uint64   `json:"misses"`
		Ratio  *float64 `json:"ratio"`  // null without look-ups
		Errors uint64   `json:"errors"` // Redis was lost: neither hit nor miss
		Stale  uint64   `json:"stale"`  // of the hits: beyond their time
		Memory uint64   `json:"memory"` // of the hits: from this process's copy
	}
)

// getHitRatio shows the two caches apart: what Redis finds, and what this
// program's cache finds in it.
func (s *Server) getHitRatio(w http.ResponseWriter, r *http.Request) error {
	namespaces, total := s.cfg.Cache.Stats()
	answer := hitRatioAnswer{Cache: cacheRatio{lookupsOf(total), make(map[string]lookups, len(namespaces))}, Node: s.cfg.Nodes.Name()}
	for name, stats := range namespaces {
		answer.Cache.Namespaces[name] = lookupsOf(stats)
	}
	var err error
	if answer.Server, err = s.cfg.Admin.HitRatio(r.Context()); err != nil {
		answer.Missing = "Redis can not be reached"
	}
	return endpoint.WriteJSON(w, http.StatusOK, answer)
}

func lookupsOf(st cache.Stats) lookups {
	l := lookups{Hits: st.Hits, Misses: st.Misses, Errors: st.Errors, Stale: st.Stale, Memory: st.Memory}
	if ratio, ok := st.HitRatio(); ok {
		l.Ratio = &ratio
	}
	return l
}

type (
	invalidateRequest struct {
		Pattern   string `json:"pattern"`
		Namespace string `json:"namespace,omitempty"`
	}
	deletedAnswer struct {
		Deleted int `json:"deleted"`
	}
)

// postInvalidate deletes the keys of one cache namespace that match a glob.
func (s *Server) postInvalidate(w http.ResponseWriter, r *http.Request) error {
	var in invalidateRequest
	if err := endpoint.ReadJSON(r, &in); err != nil {
		return err
	}
	note(r, "namespace", in.Namespace)
	note(r, "pattern", in.Pattern)
	if in.Pattern == "" {
		return endpoint.BadRequest("pattern: want a glob over keys, as in user:*")
	}
	ns, err := s.cfg.Cache.Namespace(in.Namespace, time.Hour)
	if err != nil {
		return endpoint.BadRequestOf(err)
	}
	deleted, err := ns.Invalidate(r.Context(), in.Pattern, nil)
	note(r, "deleted", deleted)
	switch {
	case err == nil:
		return endpoint.WriteJSON(w, http.StatusOK, deletedAnswer{deleted})
	case errors.Is(err, cache.ErrUnavailable), r.Context().Err() != nil:
		return endpoint.Unavailable(fmt.Sprintf("Redis was lost or too slow after %d keys had been deleted; try again", deleted), err)
	}
	return endpoint.BadRequestOf(err)
}

type (
	pubsubRequest struct {
		Channel string          `json:"channel"`
		Message json.RawMessage `json:"message"`
	}
	receiversAnswer struct {
		Receivers int64 `json:"receivers"` // on a cluster, those of one of its nodes
	}
)

const (
	maxChannel = 256
	maxRelayed = 16 << 10 // longer messages of FEED_CHANNELS are not relayed
)

// postPubSub publishes on a channel that is not the program's own. What goes to
// the inbox passes the same gate as every producer's.
func (s *Server) postPubSub(w http.ResponseWriter, r *http.Request) error {
	var in pubsubRequest
	if err := endpoint.ReadJSON(r, &in); err != nil {
		return err
	}
	note(r, "channel", in.Channel)
	switch {
	case in.Channel == "" || len(in.Channel) > maxChannel:
		return endpoint.BadRequest("channel: want a name of 1 to %d bytes", maxChannel)
	case strings.HasPrefix(in.Channel, s.cfg.Prefix):
		return endpoint.BadRequest("channel: those under %s carry accepted quotes and notices between nodes; quotes go to the inbox channel", s.cfg.Prefix)
	case strings.HasPrefix(in.Channel, "__"):
		return endpoint.BadRequest("channel: those under __ are Redis's own")
	case in.Message == nil:
		return endpoint.BadRequest("message: want any JSON value")
	}
	payload, err := published(in.Message)
	if err != nil {
		return err
	}
	if slices.Contains(s.cfg.Channels, in.Channel) && len(payload) > maxRelayed {
		return endpoint.BadRequest("message: %d bytes, and clients get at most %d from a relayed channel", len(payload), maxRelayed)
	}
	note(r, "bytes", len(payload))
	receivers, err := s.cfg.PubSub(r.Context(), in.Channel, payload)
	switch {
	case errors.Is(err, ErrNotPermitted):
		return &endpoint.Problem{Status: http.StatusForbidden, Title: "Forbidden", Cause: err,
			Detail: fmt.Sprintf("channel: Redis does not let this server publish on %q; its ACL user needs a rule for that channel", in.Channel)}
	case err != nil:
		return endpoint.Unavailable("Redis did not take the message, or its answer was lost", err)
	}
	note(r, "receivers", receivers)
	return endpoint.WriteJSON(w, http.StatusOK, receiversAnswer{receivers})
}

// published is the text that goes on the channel: of a JSON string its content,
// of any other value its JSON.
func published(message json.RawMessage) ([]byte, error) {
	var text string
	if message[0] == '"' {
		if err := json.Unmarshal(message, &text); err != nil {
			return nil, endpoint.BadRequest("message: %v", err)
		}
		return []byte(text), nil
	}
	var out bytes.Buffer
	if err := json.Compact(&out, message); err != nil {
		return nil, endpoint.BadRequest("message: %v", err)
	}
	return out.Bytes(), nil
}
