package redisadmin

import (
	"context"
	"math"
)

// Conceal returns a command without its secrets.
func Conceal(args []string) string { return conceal(args) }

// Shown returns a value of a setting without its secret.
func Shown(name, value string) string { return shown(name, value) }

// ApplyOf returns how a setting can be changed.
func ApplyOf(name string) string { return applyOf(name) }

// SurveyPart estimates the memory by kind from about most names, and returns how many it read.
func (a *Admin) SurveyPart(ctx context.Context, most int) (map[Kind]KindMemory, int, error) {
	srv, err := a.first(ctx)
	if err != nil {
		return nil, 0, err
	}
	s, err := a.survey(ctx, srv, most)
	if err != nil {
		return nil, 0, err
	}
	total := map[group]*estimate{}
	s.estimate(total)
	kinds := map[Kind]KindMemory{}
	for g, e := range total {
		kinds[g.kind] = KindMemory{Kind: g.kind, Bytes: int64(e.bytes), ErrorBytes: int64(1.96 * math.Sqrt(e.variance))}
	}
	return kinds, s.scanned, nil
}
