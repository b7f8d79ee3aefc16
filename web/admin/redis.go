package admin

import (
	"context"
	"errors"
	"net/http"

	"github.com/fxcast/fxcast/redisadmin"
	"github.com/fxcast/fxcast/web/endpoint"
)

// getRedisHealth always answers 200; the body has the faults.
func (s *Server) getRedisHealth(w http.ResponseWriter, r *http.Request) error {
	return endpoint.WriteJSON(w, http.StatusOK, s.cfg.Redis.Health(r.Context()))
}

func (s *Server) getRedisStats(w http.ResponseWriter, r *http.Request) error {
	stats, err := s.cfg.Redis.Stats(r.Context())
	if err != nil {
		return ofRedis(err)
	}
	return endpoint.WriteJSON(w, http.StatusOK, stats)
}

func (s *Server) getRedisMemory(w http.ResponseWriter, r *http.Request) error {
	memory, err := s.cfg.Redis.Memory(r.Context())
	if err != nil {
		return ofRedis(err)
	}
	return endpoint.WriteJSON(w, http.StatusOK, memory)
}

var slowLimit = endpoint.Limit{Default: 50, Most: 1000}

// getSlowLog lists the newest slow commands, without their values.
func (s *Server) getSlowLog(w http.ResponseWriter, r *http.Request) error {
	limit, err := slowLimit.Read(r)
	if err != nil {
		return err
	}
	entries, err := s.cfg.Redis.SlowLog(r.Context(), limit)
	if err != nil {
		return ofRedis(err)
	}
	if entries == nil {
		entries = []redisadmin.SlowEntry{}
	}
	return endpoint.WriteJSON(w, http.StatusOK, entries)
}

// A configAnswer has the changed settings of Redis, and advice for better ones.
type configAnswer struct {
	Drift    redisadmin.Drift    `json:"drift"`
	Optimise []redisadmin.Advice `json:"optimise"` // null: see missing
	Missing  string              `json:"missing,omitempty"`
}

// getRedisConfig only proposes changes; `broadcaster monitor` makes them.
func (s *Server) getRedisConfig(w http.ResponseWriter, r *http.Request) error {
	drift, err := s.cfg.Redis.Drift(r.Context())
	if err != nil {
		return ofRedis(err)
	}
	answer := configAnswer{Drift: drift}
	answer.Optimise, err = s.cfg.Redis.Optimize(r.Context())
	switch {
	case errors.Is(err, redisadmin.ErrNotOffered):
		answer.Missing = "this Redis does not show its settings, or not to this user"
	case err != nil:
		return ofRedis(err)
	}
	return endpoint.WriteJSON(w, http.StatusOK, answer)
}

// ofRedis returns the problem of a Redis that cannot be reached, or that does not support the
// request.
func ofRedis(err error) error {
	switch {
	case errors.Is(err, redisadmin.ErrNotOffered):
		return &endpoint.Problem{Status: http.StatusNotImplemented, Title: "Not available here", Detail: "this Redis does not report it, or not to this user", Cause: err}
	case errors.Is(err, redisadmin.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
		return endpoint.Unavailable(endpoint.LostRedis(err)+"; try again", err)
	}
	return err
}
