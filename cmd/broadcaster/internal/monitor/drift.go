package monitor

import (
	"fmt"
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
		// Settings with the same meaning form one entry.
		if i+1 == len(d.Differences) || d.Differences[i+1].Meaning != one.Meaning || d.Differences[i+1].Apply != one.Apply {
			p.text(2*pageIndent, one.Meaning+" Apply the file's value: "+one.Apply+".")
		}
	}
	if len(d.Silent) > 0 {
		p.text(pageIndent, "Did not answer: "+strings.Join(d.Silent, ", "))
	}
	if len(d.Includes) > 0 {
		p.text(pageIndent, "Not read, because the file only includes them: "+strings.Join(d.Includes, ", "))
	}
	if len(d.NotCompared) > 0 {
		p.text(pageIndent, "Not compared, because the server does not report them: "+strings.Join(d.NotCompared, ", "))
	}
}
