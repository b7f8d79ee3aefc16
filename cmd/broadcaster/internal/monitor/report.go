package monitor

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/cli"
	"github.com/fxcast/fxcast/redisadmin"
)

// The number of entries that the page has of each list; the JSON has all.
const (
	shownClients  = 12
	shownCommands = 10
	shownSlow     = 10
	shownKinds    = 20
	askedSlow     = 128
)

// report is the JSON of --all. Sections that the server does not report are null, and Missing has
// the reasons.
type report struct {
	Health   redisadmin.Health       `json:"health"`
	Stats    *redisadmin.Stats       `json:"stats"`
	Memory   *redisadmin.Memory      `json:"memory"`
	Clients  *redisadmin.Clients     `json:"clients"`
	Commands map[string]commandTotal `json:"commands"` // since the start of the server
	Slow     []redisadmin.SlowEntry  `json:"slowlog"`
	Latency  *redisadmin.Latency     `json:"latency"`
	Drift    *redisadmin.Drift       `json:"config"`
	Advice   []redisadmin.Advice     `json:"advice"`
	Missing  map[string]string       `json:"missing"` // by the names above
}

// commandTotal counts one command since the start of the server.
type commandTotal struct {
	Calls  redisadmin.Number `json:"calls"`
	Micros redisadmin.Number `json:"total_us"`
	Failed redisadmin.Number `json:"failed"`
}

// all prints every section. It stops asking a server that is lost meanwhile.
func (m *monitor) all(ctx context.Context) int {
	r := report{Health: m.admin.Health(ctx), Missing: map[string]string{}}
	down := slices.ContainsFunc(r.Health.Checks, func(c redisadmin.Check) bool {
		return c.Name == redisadmin.CheckReachable && c.Result == redisadmin.Fail && c.Node == ""
	})
	lost := ""
	if down {
		lost = reason(redisadmin.ErrUnavailable)
	}
	ask := func(name string, call func() error) {
		if lost != "" {
			r.Missing[name] = lost
			return
		}
		if err := call(); err != nil {
			r.Missing[name] = reason(err)
			if !errors.Is(err, redisadmin.ErrNotOffered) {
				lost = reason(err)
			}
		}
	}
	ask("stats", func() error { return fetch(&r.Stats)(m.admin.Stats(ctx)) })
	ask("memory", func() error { return fetch(&r.Memory)(m.admin.Memory(ctx)) })
	ask("clients", func() error { return fetch(&r.Clients)(m.admin.Clients(ctx, redisadmin.AllClients)) })
	ask("commands", func() error {
		nodes, err := m.admin.Masters(ctx, "commandstats")
		r.Commands = commandTotals(nodes)
		if err == nil && r.Commands == nil {
			err = redisadmin.ErrNotOffered
		}
		return err
	})
	ask("slowlog", func() (err error) { r.Slow, err = m.admin.SlowLog(ctx, askedSlow); return err })
	ask("latency", func() error { return fetch(&r.Latency)(m.admin.Latency(ctx)) })
	ask("config", func() error { return fetch(&r.Drift)(m.admin.Drift(ctx)) })
	ask("advice", func() (err error) { r.Advice, err = m.admin.Optimize(ctx); return err })
	if m.request.json {
		cli.WriteJSON(m.stdout, r)
	} else {
		p := newPage()
		p.report(m.where, r)
		p.writeTo(m.stdout)
	}
	if lost != "" {
		return cli.Failed
	}
	return cli.OK
}

// fetch keeps an answer unless it came with an error.
func fetch[T any](to **T) func(T, error) error {
	return func(v T, err error) error {
		if err == nil {
			*to = &v
		}
		return err
	}
}

// commandTotals sums over servers; nil = not reported.
func commandTotals(nodes []redisadmin.MasterInfo) map[string]commandTotal {
	var totals map[string]commandTotal
	for _, n := range nodes {
		for name, stat := range n.Info.Commands {
			if totals == nil {
				totals = map[string]commandTotal{}
			}
			t, known := totals[name]
			if !known {
				totals[name] = commandTotal{Calls: stat.Calls, Micros: stat.Micros, Failed: stat.Failed}
				continue
			}
			t.Calls = redisadmin.Known(t.Calls.Or(0) + stat.Calls.Or(0))
			t.Micros = redisadmin.Known(t.Micros.Or(0) + stat.Micros.Or(0))
			if _, told := stat.Failed.Get(); told {
				t.Failed = redisadmin.Known(t.Failed.Or(0) + stat.Failed.Or(0))
			}
			totals[name] = t
		}
	}
	return totals
}

// report writes all sections.
func (p *page) report(where string, r report) {
	p.health(where, r.Health)
	// section writes a section, or the reason for its absence.
	section := func(title, name string, there bool, write func()) {
		p.title(title, "")
		if there {
			write()
		} else {
			p.text(pageIndent, cmp.Or(r.Missing[name], notAvailable))
		}
	}
	section("numbers", "stats", r.Stats != nil, func() { p.stats(*r.Stats) })
	section("memory by kind of key", "memory", r.Memory != nil, func() { p.memory(*r.Memory) })
	section("clients", "clients", r.Clients != nil, func() { p.clients(*r.Clients) })
	section("commands since the start, by time spent", "commands", r.Commands != nil, func() { p.commands(r.Commands) })
	section("slow commands, newest first", "slowlog", r.Slow != nil, func() { p.slow(r.Slow) })
	section("latency events", "latency", r.Latency != nil, func() { p.latency(*r.Latency) })
	section("configuration: running server and redis.conf", "config", r.Drift != nil, func() { p.drift(*r.Drift) })
	section("advice", "advice", r.Advice != nil, func() { p.summary(r.Advice) })
}
