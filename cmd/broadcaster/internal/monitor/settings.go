package monitor

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/fxcast/fxcast/redisadmin"
)

func (p *page) drift(d redisadmin.Drift) {
	switch {
	case d.File == "":
		p.text(pageIndent, "not configured: REDIS_CONF names no file")
		return
	case d.Differences == nil:
		p.text(pageIndent, d.Missing)
		return
	case len(d.Differences) == 0:
		p.text(pageIndent, fmt.Sprintf("no difference in %d settings", d.Compared))
	}
	for i, one := range d.Differences {
		file := one.File
		if one.Default {
			file += " (not in the file: the default)"
		}
		name := one.Setting
		if one.Node != "" {
			name += " on " + one.Node
		}
		p.text(pageIndent, fmt.Sprintf("%s: file %s, running %s", name, file, one.Running))
		// Settings that mean the same are told together.
		if i+1 == len(d.Differences) || d.Differences[i+1].Meaning != one.Meaning || d.Differences[i+1].Apply != one.Apply {
			p.text(2*pageIndent, one.Meaning+" Apply the file's value: "+one.Apply+".")
		}
	}
	if len(d.Silent) > 0 {
		p.text(pageIndent, "Did not answer: "+strings.Join(d.Silent, ", "))
	}
	if len(d.Includes) > 0 {
		p.text(pageIndent, "Not read, since the file only includes them: "+strings.Join(d.Includes, ", "))
	}
	if len(d.NotCompared) > 0 {
		p.text(pageIndent, "Not compared, since the server does not tell them: "+strings.Join(d.NotCompared, ", "))
	}
}

// summary is the advice in short.
func (p *page) summary(list []redisadmin.Advice) {
	if len(list) == 0 {
		p.text(pageIndent, "nothing to change")
		return
	}
	var parts []string
	for _, a := range list {
		parts = append(parts, fmt.Sprintf("%s %s", a.Setting, cmp.Or(a.Wanted, "(see there)")))
	}
	p.text(pageIndent, fmt.Sprintf("%d settings would be better otherwise: %s.", len(list), strings.Join(parts, ", ")))
	p.text(pageIndent, `"broadcaster monitor --optimize" says why.`)
}

// advice is all of it.
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
		p.text(0, "--apply makes these changes by CONFIG SET. Put them into redis.conf as well: a restart undoes them otherwise.")
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

// applied is what became of the advice.
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
