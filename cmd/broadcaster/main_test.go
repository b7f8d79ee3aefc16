package main

import (
	"bytes"
	"context"
	"runtime"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/config"
	"github.com/fxcast/fxcast/cmd/broadcaster/internal/programtest"
)

// runCommand runs the program with arguments and environment.
func runCommand(t *testing.T, environ []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var out, errs bytes.Buffer
	code = run(ctx, args, environ, &out, &errs)
	return code, out.String(), errs.String()
}

func TestVersionAndHelp(t *testing.T) {
	code, out, errs := runCommand(t, nil, "version")
	if code != 0 || errs != "" || !strings.HasPrefix(out, "broadcaster ") || !strings.Contains(out, "commit ") || !strings.Contains(out, runtime.Version()) {
		t.Errorf("version: %d %q %q", code, out, errs)
	}
	if flagCode, flagOut, _ := runCommand(t, nil, "--version"); flagCode != 0 || flagOut != out {
		t.Errorf("--version: %d %q, want %q", flagCode, flagOut, out)
	}
	for _, args := range [][]string{{"--help"}, {"-h"}, {"help"}, {"serve", "--help"}, {"config", "-h"}, {"version", "--help"}, {"feed", "--help"}} {
		// Help needs no valid environment.
		code, out, errs := runCommand(t, []string{"REDIS_PORT=x"}, args...)
		if code != 0 || errs != "" || !strings.Contains(out, "broadcaster") {
			t.Errorf("%q: %d, stdout %q, stderr %q", args, code, out, errs)
		}
	}
}

// TestHelpOfCommands: "help feed replay" prints what "feed replay --help" does.
func TestHelpOfCommands(t *testing.T) {
	for _, c := range commands {
		for _, words := range [][]string{{c.name}, {c.name, "--help"}} {
			code, out, errs := runCommand(t, nil, append([]string{"help"}, words...)...)
			if code != 0 || errs != "" || out != c.usage {
				t.Errorf("help %q: %d %q %q", words, code, out, errs)
			}
		}
	}
	for _, words := range [][]string{{"feed", "simulate"}, {"feed", "replay"}, {"feed", "pipe"}} {
		_, want, _ := runCommand(t, nil, append(words, "--help")...)
		code, out, errs := runCommand(t, nil, append([]string{"help"}, words...)...)
		if code != 0 || errs != "" || out != want || !strings.Contains(out, words[1]) {
			t.Errorf("help %q: %d %q %q", words, code, out, errs)
		}
	}
}

// TestUsages: the usage of each command names it and fits a terminal.
func TestUsages(t *testing.T) {
	for _, c := range commands {
		if !strings.HasPrefix(c.usage, "Usage: broadcaster ") || !strings.Contains(usage(), "  broadcaster "+c.form+" ") {
			t.Errorf("%s is not in its usage, or not in that of the program: %s", c.name, c.usage)
		}
		code, out, errs := runCommand(t, nil, c.name, "--help")
		if code != 0 || errs != "" || out != c.usage || !strings.Contains(out, c.name) {
			t.Errorf("%s --help: %d %q %q", c.name, code, out, errs)
		}
		for line := range strings.Lines(c.usage) {
			line = strings.TrimSuffix(line, "\n")
			if utf8.RuneCountInString(line) > 80 || strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r == 0x7f }) {
				t.Errorf("%s: %q is too wide or moves the cursor", c.name, line)
			}
		}
	}
}

func TestUsageFaults(t *testing.T) {
	for _, tc := range []struct {
		environ, args []string
		want          string
	}{
		{nil, []string{"server"}, `"server", did you mean serve?`},
		{nil, []string{"fed", "simulate"}, `"fed", did you mean feed?`},
		{nil, []string{"x"}, `"x", want one of`},
		{nil, []string{"help", "fed"}, `"fed", did you mean feed?`},
		{nil, []string{"--port", "80"}, `"--port"`},
		{nil, []string{"serve", "--port=80"}, `"--port=80"`},
		{nil, []string{"serve", "now"}, `"now"`},
		{nil, []string{"version", "-x"}, `"-x"`},
		{nil, []string{"config", "REDIS_URL"}, `"REDIS_URL"`},
		{nil, []string{"feed", "simulate"}, "REDIS_URL"},
		{[]string{"RATE_PER_DAY=-1"}, nil, "RATE_PER_DAY"},
		{[]string{"RATE_PER_DAY=-1"}, []string{"serve"}, "RATE_PER_DAY"},
		{[]string{"RATE_PER_DAY=-1", "REDIS_HOST=h"}, []string{"feed", "simulate"}, "RATE_PER_DAY"},
	} {
		code, out, errs := runCommand(t, tc.environ, tc.args...)
		if code != 2 || out != "" || strings.Count(errs, "\n") != 1 || !strings.Contains(errs, tc.want) {
			t.Errorf("%q %q: %d, stdout %q, stderr %q; want 2 and one line with %s", tc.environ, tc.args, code, out, errs, tc.want)
		}
	}
}

func TestConfigCommand(t *testing.T) {
	code, out, errs := runCommand(t, []string{"HTTP_ADDR=:1", "ADMIN_ADDR=", "RATE_PER_HOURS=1"}, "config")
	if code != 0 || !strings.HasPrefix(errs, "warning: RATE_PER_HOURS: ") {
		t.Errorf("config: %d %q", code, errs)
	}
	for _, name := range config.Names() {
		if !strings.Contains(out, "\n"+name+" ") {
			t.Errorf("%s is not listed", name)
		}
	}
	for name, want := range map[string]string{
		"HTTP_ADDR": ":1", "ADMIN_ADDR": "off", "GUEST_SESSIONS": "true", "ADMIN_TOKEN": "unset", "RATE_PER_HOUR": "1000", "REDIS_HOST": "-",
	} {
		if got := valueIn(out, name); got != want {
			t.Errorf("%s is shown as %q, want %q", name, got, want)
		}
	}
	// With faults it still lists everything.
	code, out, errs = runCommand(t, []string{"QUOTE_TTL=x", "LOG_FORMAT=y"}, "config")
	if code != 2 || strings.Count(errs, "\n") != 2 || valueIn(out, "QUOTE_TTL") != "x" || valueIn(out, "WS_PING") != "20s" {
		t.Errorf("config with faults: %d %q\n%s", code, errs, out)
	}
}

// valueIn finds the value of a setting in what config prints.
func valueIn(table, name string) string {
	for line := range strings.Lines(table) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == name {
			return f[1]
		}
	}
	return ""
}

func TestSecretsAreNeverPrinted(t *testing.T) {
	dir := t.TempDir()
	programtest.WriteFile(t, dir+"/token", "s3cret-0123456789-0123456789\n")
	for _, environ := range [][]string{
		{"REDIS_URL=redis://user:s3cret@127.0.0.1:1/0", "REDIS_PASSWORD=s3cret", "ADMIN_TOKEN=s3cret-0123456789-0123456789"},
		{"REDIS_URL=redis://s3cret@127.0.0.1:1/0", "PUBLISH_TOKEN=desk:s3cret-0123456789-0123456789"},
		{"REDIS_URL=redis://:s3cret%zz@127.0.0.1:1/0", "ADMIN_TOKEN=s3cret"},
		{"REDIS_URL=redis://:s3cret/1@127.0.0.1:1", "PUBLISH_TOKEN=s3cret"},
		{"REDIS_URL=s3cret", "PUBLISH_TOKEN=s3cret s3cret s3cret s3cret s3cret"},
		{"REDIS_URL=redis://127.0.0.1:1/0?password=s3cret", "ADMIN_TOKEN=s3cret,s3cret"},
		{"REDIS_HOST=redis://:s3cret@127.0.0.1", "REDIS_ADDRS=redis://:s3cret@127.0.0.1:1", "REDIS_PORT=s3cret@h"},
		{"REDIS_PASSWORD=s3cret", "REDIS_PASWORD=s3cret", "ADMIN_TOKENS=s3cret"},
		{"ADMIN_TOKEN_FILE=" + dir + "/token", "PUBLISH_TOKEN_FILE=" + dir + "/token", "REDIS_URL_FILE=" + dir + "/token"},
	} {
		for _, args := range [][]string{{"config"}, {"feed", "simulate"}} {
			code, out, errs := runCommand(t, environ, args...)
			if strings.Contains(out+errs, "s3cret") {
				t.Errorf("%q %q (exit %d) shows the secret:\n%s%s", environ, args, code, out, errs)
			}
		}
	}
	_, out, _ := runCommand(t, []string{"REDIS_URL=redis://user:s3cret@h:1/0", "ADMIN_TOKEN=" + programtest.LongToken}, "config")
	if got := valueIn(out, "REDIS_URL"); got != "redis://user:***@h:1/0" {
		t.Errorf("REDIS_URL is shown as %q", got)
	}
	if got := valueIn(out, "ADMIN_TOKEN"); got != "set" {
		t.Errorf("ADMIN_TOKEN is shown as %q", got)
	}
}
