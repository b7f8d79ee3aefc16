package monitor

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/fxcast/fxcast/redisadmin"
)

func (p *page) health(where string, h redisadmin.Health) {
	p.title("redis", where)
	p.row("status", string(h.Status))
	if h.Version != "" {
		p.row("server", fmt.Sprintf("%s %s, %s, %s", h.Server, h.Version, h.Role, h.Mode))
	}
	if h.LatencySeconds != nil {
		p.row("round trip", durationText(*h.LatencySeconds)+" (median)")
	}
	p.b.WriteString("\n")
	for _, c := range h.Checks {
		value := string(c.Value)
		if value == "" && c.Result == redisadmin.Unknown && !strings.HasPrefix(c.Why, notAvailable) {
			value = notAvailable
		}
		if c.Limit != "" && c.Result != redisadmin.OK && value != notAvailable {
			value += " (limit " + string(c.Limit) + ")"
		}
		if c.Why != "" && c.Why != value {
			value += ifAny(value, ": ") + c.Why
		}
		name := strings.ReplaceAll(string(c.Name), "_", " ")
		if c.Node != "" {
			value += ifAny(value, ", ") + "on " + c.Node
		}
		mark := map[redisadmin.Result]string{redisadmin.OK: "  ", redisadmin.Warn: "! ", redisadmin.Fail: "X ", redisadmin.Unknown: "? "}[c.Result]
		p.row(mark+cut(name, labelWidth-3), cmp.Or(value, "ok"))
		if c.Do != "" && c.Result != redisadmin.OK {
			p.row("", "→ "+c.Do)
		}
	}
}

func ifAny(s, then string) string {
	if s == "" {
		return ""
	}
	return then
}

func (p *page) stats(s redisadmin.Stats) {
	p.row("up for", ageText(s.UptimeSeconds))
	p.row("clients", numbersText("%s of %s, %s blocked, %s subscribing", grouped, s.Clients.Connected, s.Clients.Max, s.Clients.Blocked, s.Clients.PubSub))
	p.row("commands", numbersText("%s per second now, %s in all", grouped, s.OpsPerSecond, s.Commands))
	p.row("network", numbersText("%s in, %s out", func(n int64) string { return bytesText(float64(n)) }, s.InputBytes, s.OutputBytes))
	hits := "no lookups yet"
	if s.HitRatio != nil {
		hits = fmt.Sprintf("%s (%s hits, %s misses)", percentText(s.HitRatio), countText(s.Hits), countText(s.Misses))
	} else if _, told := s.Hits.Get(); !told {
		hits = notAvailable
	}
	p.row("hit ratio", hits)
	p.row("removed", numbersText("%s expired, %s evicted", grouped, s.Expired, s.Evictions))
	p.row("refused", numbersText("%s connections", grouped, s.Rejected))
	p.row("channels", numbersText("%s, %s patterns, %s sharded", grouped, s.PubSub.Channels, s.PubSub.Patterns, s.PubSub.ShardChannels))
	for _, db := range s.Keyspace {
		p.row(fmt.Sprintf("keys in db %d", db.Number), fmt.Sprintf("%s, %s of them expire", countText(db.Keys), countText(db.Expiring)))
	}
	if s.Keyspace == nil {
		p.row("keys", countText(s.Total))
	}
	if len(s.Silent) > 0 {
		p.row("silent", strings.Join(s.Silent, ", ")+": the sums are without them")
	}
}

func (p *page) memory(m redisadmin.Memory) {
	limit := "no limit"
	if m.MaxBytes.Or(0) > 0 {
		limit = "limit " + sizeText(m.MaxBytes) + ", " + m.Policy.String()
	}
	if _, told := m.UsedBytes.Get(); told {
		p.row("used", fmt.Sprintf("%s, peak %s, %s", sizeText(m.UsedBytes), sizeText(m.PeakBytes), limit))
		p.row("data", sizeText(m.DatasetBytes))
	} else {
		p.row("used", notAvailable)
	}
	if m.FragmentationRatio != nil {
		p.row("fragmentation", fmt.Sprintf("%.2f", *m.FragmentationRatio))
	}
	if m.Kinds == nil {
		p.row("by kind", m.Missing)
		return
	}
	names := "all names seen"
	if !m.Complete {
		names = fmt.Sprintf("%s of %s names seen", grouped(int64(m.Scanned)), countText(m.Keys))
	}
	p.row("sample", fmt.Sprintf("%s, %s sizes asked", names, grouped(int64(m.Sampled))))
	if len(m.Silent) > 0 {
		p.row("silent", strings.Join(m.Silent, ", ")+": the sums are without them")
	}
	if len(m.Kinds) == 0 {
		p.row("by kind", "no keys")
		return
	}
	p.b.WriteString("\n")
	rows := [][]string{{"kind", "keys", "bytes", "± 95 %", "each"}}
	for i, k := range m.Kinds {
		if i == shownKinds {
			break
		}
		name := strings.ReplaceAll(string(k.Kind), "_", " ")
		if k.Namespace != "" {
			name += " " + k.Namespace
		}
		off, each := "exact", "-"
		if k.ErrorBytes > 0 {
			off = bytesText(float64(k.ErrorBytes))
		}
		if k.Keys > 0 {
			each = bytesText(float64(k.Bytes) / float64(k.Keys))
		}
		rows = append(rows, []string{name, grouped(k.Keys), bytesText(float64(k.Bytes)), off, each})
	}
	p.table("Lrrrr", rows)
	if len(m.Kinds) > shownKinds {
		p.text(pageIndent, fmt.Sprintf("and %d more", len(m.Kinds)-shownKinds))
	}
}

func (p *page) clients(c redisadmin.Clients) {
	rows := [][]string{{"client", "name", "age", "idle", "subs", "unsent", "last command"}}
	list := slices.Clone(c.Clients)
	slices.SortStableFunc(list, func(a, b redisadmin.Client) int {
		return cmp.Or(cmp.Compare(b.OutputBufferBytes.Or(0), a.OutputBufferBytes.Or(0)), cmp.Compare(b.AgeSeconds.Or(0), a.AgeSeconds.Or(0)))
	})
	for _, one := range list[:min(len(list), shownClients)] {
		subs := one.Channels.Or(0) + one.Patterns.Or(0) + one.ShardChannels.Or(0)
		rows = append(rows, []string{
			one.Addr.String(), cut(string(one.Name), 24), shortAge(one.AgeSeconds), shortAge(one.IdleSeconds), grouped(subs), sizeText(one.OutputBufferBytes), cut(string(one.Command), 14),
		})
	}
	p.table("lLrrrrl", rows)
	if more := c.Total - (len(rows) - 1); more > 0 {
		p.text(pageIndent, fmt.Sprintf("and %s more", grouped(int64(more))))
	}
}

// shortAge formats a time span by one unit, for tables.
func shortAge(seconds redisadmin.Number) string {
	n, known := seconds.Get()
	switch {
	case !known:
		return "-"
	case n >= 2*86_400:
		return fmt.Sprintf("%dd", n/86_400)
	case n >= 2*3600:
		return fmt.Sprintf("%dh", n/3600)
	case n >= 120:
		return fmt.Sprintf("%dm", n/60)
	}
	return fmt.Sprintf("%ds", n)
}

func (p *page) commands(totals map[string]commandTotal) {
	names := make([]string, 0, len(totals))
	var all int64
	for name, t := range totals {
		names = append(names, name)
		all += t.Micros.Or(0)
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(totals[b].Micros.Or(0), totals[a].Micros.Or(0)), strings.Compare(a, b))
	})
	rows := [][]string{{"command", "calls", "mean", "failed", "share"}}
	for _, name := range names[:min(len(names), shownCommands)] {
		t := totals[name]
		mean, share := "-", "-"
		if calls := t.Calls.Or(0); calls > 0 {
			mean = microsText(float64(t.Micros.Or(0)) / float64(calls))
		}
		if all > 0 {
			share = percentText(new(float64(t.Micros.Or(0)) / float64(all)))
		}
		rows = append(rows, []string{strings.ReplaceAll(name, "|", " "), countText(t.Calls), mean, countText(t.Failed), share})
	}
	p.table("Lrrrr", rows)
}

func (p *page) slow(list []redisadmin.SlowEntry) {
	if len(list) == 0 {
		p.text(pageIndent, "none")
		return
	}
	rows := [][]string{{"at (UTC)", "took", "command", "client"}}
	for _, e := range list[:min(len(list), shownSlow)] {
		rows = append(rows, []string{e.At.Format("01-02 15:04:05"), microsText(float64(e.Micros)), e.Command, cut(cmp.Or(e.ClientName, e.Client, "-"), 21)})
	}
	p.table("lrLl", rows)
	if len(list) > shownSlow {
		p.text(pageIndent, fmt.Sprintf("and %s more", grouped(int64(len(list)-shownSlow))))
	}
}

func (p *page) latency(l redisadmin.Latency) {
	switch {
	case l.Events == nil:
		p.text(pageIndent, cmp.Or(l.Why, notAvailable))
	case len(l.Events) == 0 && l.Why == "":
		p.text(pageIndent, "none")
	case len(l.Events) == 0:
		p.text(pageIndent, l.Why)
	default:
		rows := [][]string{{"event", "latest at (UTC)", "took", "at most"}}
		for _, e := range l.Events {
			rows = append(rows, []string{e.Event, e.At.UTC().Format("01-02 15:04:05"), durationText(e.LatestSeconds), durationText(e.MaxSeconds)})
		}
		p.table("Llrr", rows)
	}
	if l.Do != "" {
		p.text(pageIndent, "→ "+l.Do)
	}
}
