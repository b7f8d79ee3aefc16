package redisadmin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/fxcast/fxcast/internal/redislink"
)

const maxProbes = 1000 // round trips of one LatencyProbe

// Latency is what the latency monitor of the server recorded. On a cluster it covers all masters.
type Latency struct {
	// Monitoring reports whether the server keeps latency events; nil = unknown. It is off if
	// latency-monitor-threshold is 0, the default.
	Monitoring       *bool          `json:"monitoring"`
	ThresholdSeconds *float64       `json:"threshold_seconds"` // shorter work is no event
	Events           []LatencyEvent `json:"events"`            // nil = not available
	Why              string         `json:"why,omitempty"`     // why there are no events
	Do               string         `json:"what_to_do,omitempty"`
}

// LatencyEvent is a kind of work that took long: "command", "fork",
// "aof-fsync-always", "expire-cycle" and others.
type LatencyEvent struct {
	Node          string    `json:"node,omitempty"`
	Event         string    `json:"event"`
	At            time.Time `json:"at"` // of the latest one, to the second
	LatestSeconds float64   `json:"latest_seconds"`
	MaxSeconds    float64   `json:"max_seconds"` // since the start of the server or LATENCY RESET
}

// Latency reads LATENCY LATEST. If monitoring is off, or the server has none, it reports that in
// Why and returns no error. The error is ErrUnavailable.
func (a *Admin) Latency(ctx context.Context) (Latency, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	servers, err := a.servers(ctx)
	if err != nil {
		return Latency{}, err
	}
	lists, errs := make([]Latency, len(servers)), make([]error, len(servers))
	forEach(servers, func(i int, srv server) { lists[i], errs[i] = srv.latency(ctx) })
	var all Latency
	for i, l := range lists {
		if errs[i] != nil {
			return Latency{}, errs[i]
		}
		// If servers differ, report the first one whose monitoring is off.
		if i == 0 || l.Monitoring != nil && !*l.Monitoring {
			all.Monitoring, all.ThresholdSeconds, all.Why, all.Do = l.Monitoring, l.ThresholdSeconds, l.Why, l.Do
		}
		all.Events = slices.Concat(all.Events, l.Events)
		if all.Events == nil && l.Events != nil {
			all.Events = l.Events
		}
	}
	return all, nil
}

func (srv server) latency(ctx context.Context) (Latency, error) {
	var l Latency
	values, err := srv.config(ctx, "latency-monitor-threshold")
	if err != nil && !errors.Is(err, ErrNotOffered) {
		return l, err
	}
	if millis, err := strconv.ParseInt(values["latency-monitor-threshold"], 10, 64); err == nil && millis >= 0 {
		l.Monitoring, l.ThresholdSeconds = new(millis > 0), new(float64(millis)/1000)
	}
	events, err := srv.client.Latency(ctx).Result()
	err = classify(ctx, "latency latest", err)
	switch {
	case errors.Is(err, ErrNotOffered):
		l.Why = reasonOf(err)
		return l, nil
	case err != nil:
		return l, err
	case l.Monitoring != nil && !*l.Monitoring && len(events) == 0:
		l.Why = notAvailable + ": latency monitoring is off"
		l.Do = "CONFIG SET latency-monitor-threshold 100 records everything that takes 100 ms or longer"
		return l, nil
	}
	l.Events = make([]LatencyEvent, 0, len(events))
	for _, e := range events {
		l.Events = append(l.Events, LatencyEvent{
			Node: srv.addr, Event: printable(e.Name, 80), At: e.Time.UTC(), LatestSeconds: e.Latest.Seconds(), MaxSeconds: e.Max.Seconds(),
		})
	}
	return l, nil
}

// Probe is a series of round trips to one server.
type Probe struct {
	Node          string  `json:"node,omitempty"`
	Samples       int     `json:"samples"`
	MinSeconds    float64 `json:"min_seconds"`
	MedianSeconds float64 `json:"median_seconds"`
	P99Seconds    float64 `json:"p99_seconds"`
	MaxSeconds    float64 `json:"max_seconds"`
}

// LatencyProbe sends count PINGs, at most 1000, to every master one after the other and measures
// their round trips. The error is ErrUnavailable if any of them got no answer.
func (a *Admin) LatencyProbe(ctx context.Context, count int) ([]Probe, error) {
	if count < 1 || count > maxProbes {
		return nil, fmt.Errorf("redisadmin: %d round trips: want 1 to %d", count, maxProbes)
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	servers, err := a.servers(ctx)
	if err != nil {
		return nil, err
	}
	list, errs := make([]Probe, len(servers)), make([]error, len(servers))
	forEach(servers, func(i int, srv server) { list[i], _, errs[i] = srv.probe(ctx, count) })
	return list, errors.Join(errs...)
}

// probe measures round trips. refusal is the answer to the last PING if Redis refused it because it
// cannot save to its disk (MISCONF).
func (srv server) probe(ctx context.Context, count int) (p Probe, refusal, err error) {
	took := make([]time.Duration, 0, count)
	for range count {
		start := time.Now()
		// A refusal (no permission, or MISCONF after a failed snapshot) is a round trip too.
		refusal = srv.client.Ping(ctx).Err()
		if refusal != nil && !refused(refusal) && redislink.Code(refusal) != "MISCONF" {
			return Probe{}, nil, unavailable(ctx, "ping", refusal)
		}
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	return Probe{
		Node: srv.addr, Samples: count, MinSeconds: took[0].Seconds(), MedianSeconds: took[count/2].Seconds(),
		P99Seconds: took[min(count-1, count*99/100)].Seconds(), MaxSeconds: took[count-1].Seconds(),
	}, refusal, nil
}
