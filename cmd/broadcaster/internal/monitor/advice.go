package monitor

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/cli"
	"github.com/fxcast/fxcast/redisadmin"
)

// optimize prints advice on settings, and with --apply changes them.
func (m *monitor) optimize(ctx context.Context) int {
	list, err := m.admin.Optimize(ctx)
	var done []redisadmin.Applied
	if err == nil && m.request.apply {
		done, err = m.admin.Apply(ctx, list)
	}
	code := cli.OK
	for _, d := range done {
		if !d.Done && d.How == redisadmin.ApplyLive {
			code = cli.Failed
		}
	}
	p := newPage()
	switch {
	case m.request.apply:
		p.applied(m.where, done)
	case err == nil:
		p.advice(m.where, list)
	}
	if m.request.json && (err == nil || len(done) > 0) {
		document := map[string]any{"advice": list}
		if m.request.apply {
			document = map[string]any{"applied": done}
		}
		cli.WriteJSON(m.stdout, document)
	} else if !m.request.json {
		p.writeTo(m.stdout)
	}
	if err != nil {
		fmt.Fprintf(m.stderr, "broadcaster: monitor: %s: %s\n", m.where, reason(err))
		return cli.Failed
	}
	return code
}

// summary writes the advice in short.
func (p *page) summary(list []redisadmin.Advice) {
	if len(list) == 0 {
		p.text(pageIndent, "nothing to change")
		return
	}
	var parts []string
	for _, a := range list {
		parts = append(parts, fmt.Sprintf("%s %s", a.Setting, cmp.Or(a.Wanted, "(see there)")))
	}
	p.text(pageIndent, fmt.Sprintf("%d settings have better values: %s.", len(list), strings.Join(parts, ", ")))
	p.text(pageIndent, `See "broadcaster monitor --optimize" for the reasons.`)
}

// advice writes all of the advice.
func (p *page) advice(where string, list []redisadmin.Advice) {
	p.title("advice for redis", where)
	if len(list) == 0 {
		p.text(pageIndent, "nothing to change")
		return
	}
	live := false
	for i, a := range list {
		if i == 0 || list[i-1].Why != a.Why {
			p.b.WriteString("\n")
		}
		p.text(pageIndent, adviceLine(a))
		if i+1 == len(list) || list[i+1].Why != a.Why {
			p.text(2*pageIndent, a.Why)
		}
		if a.How == redisadmin.ApplyLive {
			live = true
		} else {
			p.text(2*pageIndent, "→ "+a.How)
		}
	}
	if live {
		p.b.WriteString("\n")
		p.text(0, "--apply makes these changes by CONFIG SET. Put them into redis.conf too, or a restart undoes them.")
	}
}

func adviceLine(a redisadmin.Advice) string {
	line := a.Setting + ": " + a.Current
	if a.Wanted != "" {
		line += " → " + a.Wanted
	}
	if a.Node != "" {
		line += " on " + a.Node
	}
	return line
}

// applied writes the outcome of the changes.
func (p *page) applied(where string, list []redisadmin.Applied) {
	p.title("changed on redis", where)
	if len(list) == 0 {
		p.text(pageIndent, "nothing to change")
		return
	}
	keep := []string{}
	for _, d := range list {
		word := "done"
		if !d.Done {
			word = "not done: " + d.Fault
		}
		p.text(pageIndent, adviceLine(d.Advice)+" — "+word)
		if d.Keep != "" && !slices.Contains(keep, d.Keep) {
			keep = append(keep, d.Keep)
		}
	}
	for _, text := range keep {
		p.b.WriteString("\n")
		p.text(0, "To keep it: "+text+".")
	}
}
