package check

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"sigs.k8s.io/yaml"
)

// A query is an expression in PromQL with the place where it stands.
type query struct{ place, expr string }

// TestAlerts checks that each alert has a summary, a severity and a remedy, and that its expression can
// be answered. promtool tests when alerts fire.
func TestAlerts(t *testing.T) {
	t.Parallel()
	var file struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr         string
				Labels, Annotations map[string]string
			}
		}
	}
	if err := yaml.Unmarshal(read(t, "alerts.yml"), &file); err != nil {
		t.Fatal(err)
	}
	manual := string(read(t, "../docs/troubleshooting.md"))
	var queries []query
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			queries = append(queries, query{r.Alert, r.Expr})
			if r.Annotations["summary"] == "" || r.Labels["severity"] != "page" && r.Labels["severity"] != "ticket" {
				t.Errorf("%s lacks a summary or a severity: %+v", r.Alert, r)
			}
			if !strings.Contains(manual, "`"+r.Alert+"`") {
				t.Errorf("docs/troubleshooting.md lacks the alert %s", r.Alert)
			}
		}
	}
	if len(queries) < 25 {
		t.Errorf("%d alerts", len(queries))
	}
	served(t).check(t, queries)
}

// A panel is a panel of a dashboard, or a row with the panels that are folded into it.
type panel struct {
	ID                       int
	Type, Title, Description string
	GridPos                  struct{ X, Y, W, H int }
	Datasource               struct{ Type, UID string }
	FieldConfig              struct {
		Defaults struct {
			Unit       string
			Thresholds struct{ Steps []struct{ Color string } }
		}
	}
	Targets []struct{ RefID, Expr, LegendFormat string }
	Panels  []panel
}

type dashboard struct {
	UID, Title  string
	Panels      []panel
	Annotations struct {
		List []struct{ Name, Expr string }
	}
	Templating struct {
		List []struct {
			Name, Type string
			Definition string
		}
	}
}

// TestDashboard checks that each panel of the dashboard has what an operator needs to read it, that
// panels do not overlap, and that every query can be answered.
func TestDashboard(t *testing.T) {
	t.Parallel()
	var d dashboard
	if err := json.Unmarshal(read(t, "grafana/fxcast.json"), &d); err != nil {
		t.Fatal(err)
	}
	variables := map[string]bool{"__rate_interval": true, "__range": true} // Grafana's own
	var queries []query
	for _, v := range d.Templating.List {
		variables[v.Name] = true
		if m := regexp.MustCompile(`^label_values\((.*), (\w+)\)$`).FindStringSubmatch(v.Definition); m != nil {
			queries = append(queries, query{"variable " + v.Name, "count by (" + m[2] + ") (" + m[1] + ")"})
		} else if v.Type != "datasource" {
			t.Errorf("variable %s: %q", v.Name, v.Definition)
		}
	}
	for _, want := range []string{"datasource", "job", "instance"} {
		if !variables[want] {
			t.Errorf("no variable %s", want)
		}
	}
	for _, a := range d.Annotations.List {
		if a.Expr != "" {
			queries = append(queries, query{"annotation " + a.Name, a.Expr})
		}
	}
	var panels []panel
	rows, ids := 0, map[int]bool{}
	for _, p := range d.Panels {
		panels = append(append(panels, p), p.Panels...)
	}
	taken := map[[2]int]string{} // cells of the grid
	for _, p := range panels {
		if ids[p.ID] || p.ID == 0 {
			t.Errorf("%s: the id %d is not its own", p.Title, p.ID)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" || x >= 24 {
					t.Fatalf("%q overlaps with %q, or is too wide", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		if p.Type == "row" {
			rows++
			continue
		}
		if p.Title == "" || len(p.Description) < 20 || p.Datasource.UID != "${datasource}" || len(p.Targets) == 0 {
			t.Errorf("panel %q lacks a title, description, datasource or query", p.Title)
		}
		if p.FieldConfig.Defaults.Unit == "" && p.Type != "heatmap" {
			t.Errorf("panel %q has no unit", p.Title)
		}
		for _, target := range p.Targets {
			if target.LegendFormat == "" {
				t.Errorf("panel %q: the query %s has no legend", p.Title, target.RefID)
			}
			queries = append(queries, query{p.Title, target.Expr})
			if err := legend(target.LegendFormat, target.Expr); err != nil {
				t.Errorf("panel %q: %v", p.Title, err)
			}
		}
	}
	if rows < 9 || len(queries) < 60 {
		t.Errorf("%d rows and %d queries", rows, len(queries))
	}
	for i, q := range queries {
		for _, m := range regexp.MustCompile(`\$\{?(\w+)`).FindAllStringSubmatch(q.expr, -1) {
			if !variables[m[1]] {
				t.Errorf("%s: there is no variable %s", q.place, m[1])
			}
		}
		queries[i].expr = expanded(q.expr)
	}
	served(t).check(t, queries)
}

// expanded replaces Grafana's variables: durations by one, and others by what selects everything.
func expanded(expr string) string {
	return regexp.MustCompile(`\$\w+`).ReplaceAllString(strings.NewReplacer("$__rate_interval", "1m", "$__range", "1h").Replace(expr), ".*")
}

// legend returns an error if the legend of a query names a label that its result lacks.
func legend(text, expr string) error {
	tree, err := parser.NewParser(parser.Options{}).ParseExpr(expanded(expr))
	if err != nil {
		return err
	}
	for {
		if p, ok := tree.(*parser.ParenExpr); ok {
			tree = p.Expr
		} else if b, ok := tree.(*parser.BinaryExpr); ok {
			tree = b.LHS
		} else {
			break
		}
	}
	for _, m := range regexp.MustCompile(`\{\{(\w+)\}\}`).FindAllStringSubmatch(text, -1) {
		switch e := tree.(type) {
		case *parser.AggregateExpr:
			if !slices.Contains(e.Grouping, m[1]) {
				return fmt.Errorf("the legend %q needs by (%s)", text, m[1])
			}
		case *parser.Call:
			if inner, ok := e.Args[len(e.Args)-1].(*parser.AggregateExpr); ok && !slices.Contains(inner.Grouping, m[1]) {
				return fmt.Errorf("the legend %q needs by (%s)", text, m[1])
			}
		}
	}
	return nil
}

// ofScrape are labels that Prometheus adds to all series it scrapes.
var ofScrape = []string{"job", "instance"}

// check parses queries and checks that the metrics and labels in them exist.
func (s series) check(t *testing.T, queries []query) {
	t.Helper()
	for _, q := range queries {
		tree, err := parser.NewParser(parser.Options{}).ParseExpr(q.expr)
		if err != nil {
			t.Errorf("%s: %v\n%s", q.place, err, q.expr)
			continue
		}
		parser.Inspect(tree, func(node parser.Node, _ []parser.Node) error {
			switch n := node.(type) {
			case *parser.VectorSelector:
				for _, fault := range s.faults(n) {
					t.Errorf("%s: %s: %s", q.place, n, fault)
				}
			case *parser.AggregateExpr:
				for _, label := range n.Grouping {
					parser.Inspect(n.Expr, func(below parser.Node, _ []parser.Node) error {
						if v, ok := below.(*parser.VectorSelector); ok && !s.has(v.Name, label) {
							t.Errorf("%s: %s has no label %s", q.place, v.Name, label)
						}
						return nil
					})
				}
			}
			return nil
		})
	}
}

// has reports whether a metric has a label.
func (s series) has(name, label string) bool {
	return slices.Contains(ofScrape, label) || slices.ContainsFunc(s[name], func(l map[string]string) bool { return l[label] != "" })
}

// faults returns why a selector finds nothing. A value of a label that never comes is one: such an
// alert would be silent for ever.
func (s series) faults(v *parser.VectorSelector) (faults []string) {
	if len(s[v.Name]) == 0 {
		return []string{"no process serves this metric"}
	}
	for _, m := range v.LabelMatchers {
		if m.Name == labels.MetricName || slices.Contains(ofScrape, m.Name) {
			continue
		}
		switch m.Type {
		case labels.MatchEqual, labels.MatchRegexp:
			values := []string{m.Value}
			if m.Type == labels.MatchRegexp {
				values = strings.Split(m.Value, "|")
			}
			for _, value := range values {
				if !slices.ContainsFunc(s[v.Name], func(l map[string]string) bool { return l[m.Name] == value }) {
					faults = append(faults, fmt.Sprintf("no series with %s=%q", m.Name, value))
				}
			}
		default:
			if !s.has(v.Name, m.Name) {
				faults = append(faults, "no series with the label "+m.Name)
			}
		}
	}
	return faults
}

// TestFaultyQueries tries the check on queries that must not pass.
func TestFaultyQueries(t *testing.T) {
	t.Parallel()
	s := series{"fx_up": {{"reason": "slow"}}}
	for expr, ok := range map[string]bool{
		`fx_up{job="fxcast",reason="slow"}`: true, `fx_down`: false, `fx_up{reason="sloww"}`: false, `fx_up{reason=~"slow|fast"}`: false, `fx_up{cause="slow"}`: false,
		`fx_up{reason!="fast"}`: true, `fx_up{cause!="fast"}`: false,
	} {
		tree, err := parser.NewParser(parser.Options{}).ParseExpr(expr)
		if err != nil {
			t.Fatal(err)
		}
		if faults := s.faults(tree.(*parser.VectorSelector)); (len(faults) == 0) != ok {
			t.Errorf("%s: %q", expr, faults)
		}
	}
	if s.has("fx_up", "cause") || !s.has("fx_up", "instance") || !s.has("fx_up", "reason") {
		t.Error("has is wrong")
	}
	if legend("{{reason}}", "sum by (class) (fx_up)") == nil || legend("{{reason}}", "sum by (reason) (fx_up) > 0") != nil {
		t.Error("legend is wrong")
	}
}

// read reads a file of deploy.
func read(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", path))
	if err != nil {
		t.Fatal(err)
	}
	return text
}
