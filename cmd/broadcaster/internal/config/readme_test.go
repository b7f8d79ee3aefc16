package config

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the table of settings into README.md")

func TestReadmeTable(t *testing.T) {
	const path = "../../../../README.md"
	const start, end = "<!-- settings -->\n", "<!-- /settings -->"
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok1 := strings.Cut(string(data), start)
	table, after, ok2 := strings.Cut(rest, end)
	if !ok1 || !ok2 {
		t.Fatalf("README.md has no settings between %q and %q", strings.TrimSpace(start), end)
	}
	if table == markdown() {
		return
	}
	if !*update {
		t.Fatal("the settings in README.md are not those of the code: go test ./cmd/broadcaster/internal/config -run TestReadmeTable -update")
	}
	writeFile(t, path, before+start+markdown()+end+after)
}

// markdown renders the settings as a markdown table, the one of README.md.
func markdown() string {
	var b strings.Builder
	b.WriteString("| name | default | meaning |\n| --- | --- | --- |\n")
	cell := strings.NewReplacer("|", `\|`, "\n", " ")
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
		fmt.Fprintf(&b, "| %s | %s | %s |\n", name, d, cell.Replace(s.meaning))
	}
	return b.String()
}
