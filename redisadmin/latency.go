package redisadmin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// maxProbes bounds the round trips of one LatencyProbe.
const maxProbes = 1000

// Latency is what the server's own latency monitor saw; of a cluster, that of
// all its masters.
type Latency struct {
	// Monitoring tells whether the server keeps such events; nil = not told.
	// It is off where latency-monitor-threshold is 0, the default.
	Monitoring       *bool          `json:"monitoring"`
	ThresholdSeconds *float64       `json:"threshold_seconds"` // what takes less is no event
	Events           []LatencyEvent `json:"events"`            // nil = not available
	Why              string         `json:"why,omitempty"`     // why there is nothing
	Do               string         `json:"what_to_do,omitempty"`
}

// LatencyEvent is a kind of work that took long: "command", "fork",
// "aof-fsync-always", "expire-cycle" and others.
type LatencyEvent struct {
	Node          string    `json:"node,omitempty"`
	Event         string    `json:"event"`
	At            time.Time `json:"at"` // of the latest, to the second
	LatestSeconds float64   `json:"latest_seconds"`
	MaxSeconds    float64   `json:"max_seconds"` // since the start or LATENCY RESET
}

// Latency reads LATENCY LATEST. Monitoring that is off, and a server that has
// none, are no error but said in Why; the error is ErrUnavailable.
func (a *Admin) Latency(ctx context.Context) (Latency, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	nodes, err := a.nodes(ctx)
	if err != nil {
		return Latency{}, err
	}
	lists, errs := make([]Latency, len(nodes)), make([]error, len(nodes))
	each(nodes, func(i int, n node) { lists[i], errs[i] = n.latency(ctx) })
	var all Latency
	for i, l := range lists {
		if errs[i] != nil {
			return Latency{}, errs[i]
		}
		// Where nodes differ, the first that does not watch is the news.
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

func (n node) latency(ctx context.Context) (Latency, error) {
	var l Latency
	values, err := n.config(ctx, "latency-monitor-threshold")
	if err != nil && !errors.Is(err, ErrNotOffered) {
		return l, err
	}
	if millis, err := strconv.ParseInt(values["latency-monitor-threshold"], 10, 64); err == nil && millis >= 0 {
		l.Monitoring, l.ThresholdSeconds = new(millis > 0), new(float64(millis)/1000)
	}
	events, err := n.client.Latency(ctx).Result()
	err = ask(ctx, "latency latest", err)
	switch {
	case errors.Is(err, ErrNotOffered):
		l.Why = why(err)
		return l, nil
	case err != nil:
		return l, err
	case l.Monitoring != nil && !*l.Monitoring && len(events) == 0:
		l.Why = notHere + ": latency monitoring is off"
		l.Do = "CONFIG SET latency-monitor-threshold 100 keeps everything that takes 100 ms or longer"
		return l, nil
	}
	l.Events = make([]LatencyEvent, 0, len(events))
	for _, e := range events {
		l.Events = append(l.Events, LatencyEvent{
			Node: n.addr, Event: plain(e.Name, 80), At: e.Time.UTC(), LatestSeconds: e.Latest.Seconds(), MaxSeconds: e.Max.Seconds(),
		})
	}
	return l, nil
}

// Probe is a series of round trips to one node.
type Probe struct {
	Node          string  `json:"node,omitempty"`
	Samples       int     `json:"samples"`
	MinSeconds    float64 `json:"min_seconds"`
	MedianSeconds float64 `json:"median_seconds"`
	P99Seconds    float64 `json:"p99_seconds"`
	MaxSeconds    float64 `json:"max_seconds"`
}

// LatencyProbe sends count PINGs to every master, one after the other, and
// measures their round trips. count is at most 1000. The error is
// ErrUnavailable if any remained without answer.
func (a *Admin) LatencyProbe(ctx context.Context, count int) ([]Probe, error) {
	if count < 1 || count > maxProbes {
		return nil, fmt.Errorf("redisadmin: %d round trips: want 1 to %d", count, maxProbes)
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	nodes, err := a.nodes(ctx)
	if err != nil {
		return nil, err
	}
	list, errs := make([]Probe, len(nodes)), make([]error, len(nodes))
	each(nodes, func(i int, n node) { list[i], errs[i] = n.probe(ctx, count) })
	return list, errors.Join(errs...)
}

func (n node) probe(ctx context.Context, count int) (Probe, error) {
	took := make([]time.Duration, 0, count)
	for range count {
		start := time.Now()
		// A refusal (no permission, or MISCONF while nothing can be saved) is a
		// round trip too.
		if err := n.client.Ping(ctx).Err(); err != nil && !refused(err) {
			return Probe{}, lost(ctx, "ping", err)
		}
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	return Probe{
		Node: n.addr, Samples: count, MinSeconds: took[0].Seconds(), MedianSeconds: took[count/2].Seconds(),
		P99Seconds: took[min(count-1, count*99/100)].Seconds(), MaxSeconds: took[count-1].Seconds(),
	}, nil
}
