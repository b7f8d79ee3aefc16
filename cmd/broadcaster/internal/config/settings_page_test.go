package config

import (
	"fmt"
	"strings"
	"testing"

	"github.com/fxcast/fxcast/internal/pagetest"
)

const head = "| name | default | meaning |\n| --- | --- | --- |\n"

// TestReadmeSettings checks that docs/reference/settings.md has every setting, and that those which
// README.md names are as they are in the code.
func TestReadmeSettings(t *testing.T) {
	pagetest.Check(t, "docs/reference/settings.md", "settings", head+strings.Join(rows(), ""))
	var chosen strings.Builder
	for line := range strings.Lines(pagetest.Part(t, "README.md", "settings")) {
		name, _, _ := strings.Cut(strings.TrimPrefix(line, "| `"), "`")
		for i, s := range settings {
			if s.name == name {
				chosen.WriteString(rows()[i])
			}
		}
	}
	if n := strings.Count(chosen.String(), "\n"); n < 10 || n > 20 {
		t.Errorf("README.md has %d settings", n)
	}
	pagetest.Check(t, "README.md", "settings", head+chosen.String())
}

// rows renders each setting as a row of a Markdown table.
func rows() (all []string) {
	for _, s := range settings {
		d := "–"
		if s.shown != "" {
			value, note, _ := strings.Cut(s.shown, " ")
			d = strings.TrimSpace("`" + value + "` " + note)
		}
		name := "`" + s.name + "`"
		if s.secret {
			name += " (or `" + s.name + "_FILE`)"
		}
		all = append(all, fmt.Sprintf("| %s | %s | %s |\n", name, d, pagetest.Cell(s.meaning)))
	}
	return all
}
