package main

import (
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// complete returns what a shell offers after the line.
func complete(t *testing.T, shell, line string) []string {
	t.Helper()
	path, err := exec.LookPath(shell)
	if err != nil {
		t.Skipf("%s is not installed", shell)
	}
	code, script, errs := runCommand(t, nil, "completion", shell)
	if code != 0 || errs != "" {
		t.Fatalf("completion %s: %d %s", shell, code, errs)
	}
	switch words := strings.Split(line, " "); shell {
	case "fish":
		script += "\ncomplete -C '" + line + "' | cut -f 1\n"
	case "zsh": // bashcompinit calls the function with these set
		script = "setopt ksharrays shwordsplit\n" + strings.ReplaceAll(script, "compinit && compinit\n", "compinit && compinit -D -u\n")
		fallthrough
	default:
		last := len(words) - 1
		script += "\nCOMP_WORDS=('" + strings.Join(words, "' '") + "'); COMP_CWORD=" + string(rune('0'+last)) + "\n_broadcaster; printf '%s\\n' \"${COMPREPLY[@]}\"\n"
	}
	out, err := exec.Command(path, "-c", script).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", shell, err, out)
	}
	return strings.Fields(string(out))
}

// TestCompletion sources the scripts in the shells that are installed.
func TestCompletion(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		t.Run(shell, func(t *testing.T) {
			for line, want := range map[string][]string{
				"broadcaster mon":                       {"monitor"},
				"broadcaster feed ":                     {"simulate", "replay"},
				"broadcaster session create --r":        {"--role"},
				"broadcaster session revoke --":         {"--user", "--json", "--help"},
				"broadcaster monitor --health --js":     {"--json"},
				"broadcaster feed replay --speed 2 --k": {"--keep-time"},
				"broadcaster completion z":              {"zsh"},
			} {
				got := complete(t, shell, line)
				for _, w := range want {
					if !slices.Contains(got, w) {
						t.Errorf("%q: %q, want %q", line, got, w)
					}
				}
			}
		})
	}
}

// TestCompletedFlags compares the flags that are completed with those of the usages and parsers.
func TestCompletedFlags(t *testing.T) {
	named := regexp.MustCompile(`(?m)^ +\[?--([a-z-]+)|^  [a-z]+ .*?--([a-z]+) U(?: --([a-z]+) R)?`)
	check := func(usage string, flags []string, args ...string) {
		var documented []string
		for _, m := range named.FindAllStringSubmatch(usage, -1) {
			for _, f := range m[1:] {
				if f != "" {
					documented = append(documented, f)
				}
			}
		}
		for _, f := range documented {
			if !slices.Contains(flags, f) {
				t.Errorf("%q: --%s is in the usage, and not completed", args, f)
			}
		}
		if len(args) == 0 {
			return
		}
		for _, f := range flags {
			_, _, errs := runCommand(t, []string{"REDIS_URL=redis://127.0.0.1:1"}, append(args, "--"+f+"=?")...)
			if strings.Contains(errs, "unknown flag") {
				t.Errorf("%q: --%s is completed, and unknown: %s", args, f, errs)
			}
		}
	}
	for _, c := range commands {
		all := slices.Clone(c.flags)
		for _, p := range c.parts {
			all = append(all, p.flags...)
			usage := ""
			if c.name == "feed" {
				_, usage, _ = runCommand(t, nil, c.name, p.name, "--help")
			}
			check(usage, p.flags, c.name, p.name)
		}
		check(c.usage, all)
		check("", c.flags, c.name)
	}
}
