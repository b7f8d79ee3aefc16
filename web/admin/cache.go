package admin

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/fxcast/fxcast/cache"
	"github.com/fxcast/fxcast/internal/redislink"
	"github.com/fxcast/fxcast/redisadmin"
	"github.com/fxcast/fxcast/web/endpoint"
)

type (
	hitRatioAnswer struct {
		Server redisadmin.HitRatio `json:"server"` // all programs and keys
		Cache  cacheRatio          `json:"cache"`
		Node   string              `json:"node"` // the node that counted the lookups of Cache
		// Missing is the reason why the server's numbers are missing.
		Missing string `json:"missing,omitempty"`
	}
	cacheRatio struct {
		lookups
		Namespaces map[string]lookups `json:"namespaces"`
	}
	// lookups are the lookups of this process since its start.
	lookups struct {
		Hits   uint64   `json:"hits"`
		Misses uint64   `json:"misses"`
		Ratio  *float64 `json:"ratio"`  // null without lookups
		Errors uint64   `json:"errors"` // Redis was lost: neither hit nor miss
		Stale  uint64   `json:"stale"`  // hits with an expired value
		Memory uint64   `json:"memory"` // hits in the memory of this process
	}
)

// getHitRatio answers with two hit ratios: that of Redis for all keys, and that of this program's
// cache.
func (s *Server) getHitRatio(w http.ResponseWriter, r *http.Request) error {
	namespaces, total := s.cfg.Cache.Stats()
	answer := hitRatioAnswer{Cache: cacheRatio{lookupsOf(total), make(map[string]lookups, len(namespaces))}, Node: s.cfg.Nodes.Name()}
	for name, stats := range namespaces {
		answer.Cache.Namespaces[name] = lookupsOf(stats)
	}
	var err error
	if answer.Server, err = s.cfg.Redis.HitRatio(r.Context()); err != nil {
		answer.Missing = endpoint.LostRedis(err)
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

// postInvalidate deletes the keys of one cache namespace that match a glob. If Redis is lost on
// the way, the problem has the number of keys deleted so far.
func (s *Server) postInvalidate(w http.ResponseWriter, r *http.Request) error {
	var in invalidateRequest
	if err := endpoint.ReadJSON(r, &in); err != nil {
		return err
	}
	note(r, "namespace", in.Namespace)
	note(r, "pattern", in.Pattern)
	if in.Pattern == "" {
		return endpoint.BadRequest("pattern: want a glob for keys, such as user:*")
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
		lost := cmp.Or(redislink.Trouble(err), "Redis was lost or too slow")
		return endpoint.Unavailable(fmt.Sprintf("%s; %d keys were deleted before that; try again", lost, deleted), err)
	}
	return endpoint.BadRequestOf(err)
}
