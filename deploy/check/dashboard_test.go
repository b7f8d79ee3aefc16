package check

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	grafana "github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/heatmap"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
	"github.com/prometheus/prometheus/promql/parser"
)

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

// strictly decodes a dashboard by the schema of Grafana: the fields that it lacks, and those it should
// not have.
func strictly(text string) error {
	runtime := cog.NewRuntime()
	runtime.RegisterPanelcfgVariant(timeseries.VariantConfig())
	runtime.RegisterPanelcfgVariant(stat.VariantConfig())
	runtime.RegisterPanelcfgVariant(heatmap.VariantConfig())
	runtime.RegisterDataqueryVariant(prometheus.VariantConfig())
	var d grafana.Dashboard
	for _, err := range []error{d.UnmarshalJSONStrict([]byte(text)), d.Validate()} {
		if faults, ok := errors.AsType[cog.BuildErrors](err); err != nil && (!ok || len(faults) > 0) {
			return err
		}
	}
	return nil
}

// TestDashboardSchema checks that the dashboard has the form that Grafana's schema describes.
func TestDashboardSchema(t *testing.T) {
	t.Parallel()
	text := string(read(t, "grafana/fxcast.json"))
	if err := strictly(text); err != nil {
		t.Error(err)
	}
	for _, change := range [][2]string{{`"fillOpacity"`, `"fillOpaque"`}, {`"placement": "bottom"`, `"position": "bottom"`}, {`"legendFormat"`, `"legend"`}, {`"graphMode"`, `"graph"`}, {`"schemaVersion"`, `"version_"`}} {
		wrong := strings.Replace(text, change[0], change[1], 1)
		if err := strictly(wrong); wrong == text || err == nil {
			t.Errorf("%s instead of %s is not noticed", change[1], change[0])
		}
	}
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
