// Testrun runs go test with the arguments it gets, prints what go test prints without -v, and
// then lists the slowest tests. Up to three tests that failed run again, each by itself; see again.
// It exits with go test's code, or with 0 if these pass.
package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
)

const slowest = 20 // tests that are listed

func main() {
	// An interrupt reaches go test too, since it is in the same process group. Go test then
	// ends, and this program reports what ran until then.
	signal.Notify(make(chan os.Signal, 1), os.Interrupt)
	cmd := exec.Command("go", append([]string{"test", "-json"}, os.Args[1:]...)...)
	cmd.Stderr = os.Stderr
	events, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "testrun:", err)
		os.Exit(2)
	}
	r := newReport(os.Stdout)
	r.read(events)
	err = cmd.Wait()
	r.conclude(err == nil)
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		if r.again(os.Args[1:]) {
			return
		}
		os.Exit(max(exit.ExitCode(), 1))
	} else if err != nil {
		fmt.Fprintln(os.Stderr, "testrun:", err)
		os.Exit(2)
	}
}

// event is one line of go test -json; see go doc test2json.
type event struct {
	Action  string
	Package string
	Test    string // empty for the package itself
	Output  string
	Elapsed float64 // seconds, of an action that ends a test
}

// report turns the events of a run into the text for a person.
type report struct {
	out     io.Writer
	pending map[string]*pending // by package
	took    []timing

	failures []failure
	fatal    bool // something failed that does not run again
}

// pending is what a package has printed so far: the output of tests that have neither passed
// nor been skipped, and of the package itself under "".
type pending struct {
	order []string // tests by first output
	text  map[string][]string
}

type timing struct {
	name    string
	seconds float64
}

func newReport(out io.Writer) *report { return &report{out: out, pending: map[string]*pending{}} }

// read reports events until they end. Text that is not JSON is passed on.
func (r *report) read(events io.Reader) {
	dec := json.NewDecoder(events)
	for {
		var e event
		if err := dec.Decode(&e); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			io.Copy(r.out, io.MultiReader(dec.Buffered(), events))
			return
		}
		r.add(e)
	}
}

func (r *report) add(e event) {
	p := r.pending[e.Package]
	if p == nil {
		p = &pending{text: map[string][]string{}}
		r.pending[e.Package] = p
	}
	if e.Action == "fail" {
		r.failed(e, p.text[e.Test])
	}
	switch e.Action {
	case "build-output":
		io.WriteString(r.out, e.Output)
	case "output":
		if strings.HasPrefix(e.Output, "=== ") { // RUN, PAUSE, CONT, NAME
			return
		}
		if _, ok := p.text[e.Test]; !ok {
			p.order = append(p.order, e.Test)
		}
		p.text[e.Test] = append(p.text[e.Test], e.Output)
	case "pass", "skip", "fail":
		if e.Test == "" {
			p.print(r.out, e.Action == "fail")
			delete(r.pending, e.Package)
			return
		}
		if e.Action != "fail" {
			p.text[e.Test] = nil
		}
		if !strings.Contains(e.Test, "/") {
			r.took = append(r.took, timing{name: e.Package + " " + e.Test, seconds: e.Elapsed})
		}
	}
}

// print writes a package's closing line and, of one that failed, all that is pending.
func (p *pending) print(w io.Writer, failed bool) {
	if failed {
		for _, test := range p.order {
			if test != "" {
				io.WriteString(w, strings.Join(p.text[test], ""))
			}
		}
	}
	for _, line := range p.text[""] {
		if failed || strings.HasPrefix(line, "ok  \t") || strings.HasPrefix(line, "?   \t") {
			io.WriteString(w, line)
		}
	}
}

// conclude prints packages that never ended, the verdict of a failed run as go test words it,
// and the slowest tests.
func (r *report) conclude(passed bool) {
	for _, p := range r.pending {
		p.print(r.out, true)
	}
	if !passed {
		fmt.Fprintln(r.out, "FAIL")
	}
	slices.SortFunc(r.took, func(a, b timing) int {
		return cmp.Or(cmp.Compare(b.seconds, a.seconds), cmp.Compare(a.name, b.name))
	})
	list := r.took[:min(slowest, len(r.took))]
	if len(list) == 0 {
		return
	}
	fmt.Fprintf(r.out, "\nthe slowest of %d tests:\n", len(r.took))
	for _, t := range list {
		fmt.Fprintf(r.out, "%8.2f s  %s\n", t.seconds, t.name)
	}
}
