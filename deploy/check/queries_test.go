package check

import (
	"fmt"
	"os"
	"path/filepath"
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
