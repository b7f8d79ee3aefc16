package main

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// mostAgain is how many failed tests run again. More than that is no coincidence.
const mostAgain = 3

// failure is a test that failed, without subtests.
type failure struct{ pkg, test string }

// failed notes why a package or a test failed.
func (r *report) failed(e event, printed []string) {
	if slices.ContainsFunc(printed, func(line string) bool {
		return strings.Contains(line, "DATA RACE") || strings.Contains(line, "race detected") || strings.HasPrefix(line, "panic: ")
	}) {
		r.fatal = true
	}
	if e.Test != "" && !strings.Contains(e.Test, "/") {
		r.failures = append(r.failures, failure{e.Package, e.Test})
	} else if e.Test == "" && !slices.ContainsFunc(r.failures, func(f failure) bool { return f.pkg == e.Package }) {
		r.fatal = true // it does not build, or ended outside its tests
	}
}

// again runs the few tests that failed once more, each by itself, and reports whether all of them
// pass now. A data race, a panic and a package that does not build count at once.
//
// A test that passes only alone is a bug all the same: the output names it. But it must not hide
// what the other thousand tests found, nor make a person wait for all of them again.
func (r *report) again(args []string) bool {
	if r.fatal || len(r.failures) == 0 || len(r.failures) > mostAgain {
		return false
	}
	for _, f := range r.failures {
		fmt.Fprintf(r.out, "\n%s %s runs again by itself:\n", f.pkg, f.test)
		cmd := exec.Command("go", slices.Concat([]string{"test"}, flags(args), []string{"-count", "1", "-run", "^" + f.test + "$", f.pkg})...)
		cmd.Stdout, cmd.Stderr = r.out, os.Stderr
		if cmd.Run() != nil {
			return false
		}
	}
	for _, f := range r.failures {
		fmt.Fprintf(r.out, "UNSTEADY: %s %s failed beside other tests and passed alone; mend it.\n", f.pkg, f.test)
	}
	return true
}

// flags returns the arguments before the first package.
func flags(args []string) []string {
	if i := slices.IndexFunc(args, func(a string) bool { return strings.HasPrefix(a, "./") }); i >= 0 {
		return args[:i]
	}
	return args
}
