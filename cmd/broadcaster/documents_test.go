package main

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/fxcast/fxcast/internal/pagetest"
)

var (
	called   = regexp.MustCompile(`(?m)(?:^|[\s/(])broadcaster((?: +[^\s|;&#)]+)+)`)
	callWord = regexp.MustCompile(`^[a-z]+$`)
	callFlag = regexp.MustCompile(`^--([a-z-]+)`)
)

// TestDocumentedCommands checks that each command and flag in the documents is one of the program.
func TestDocumentedCommands(t *testing.T) {
	count := 0
	for _, code := range pagetest.Code(t) {
		text := strings.ReplaceAll(code.Text, "SETUSER broadcaster", "") // a user of Redis
		for _, m := range called.FindAllStringSubmatch(text, -1) {
			words := strings.Fields(m[1])
			if why := unknownCall(words); why != "" {
				t.Errorf("%s: broadcaster%s: %s", code.Page, m[1], why)
			}
			count++
		}
	}
	if count < 40 {
		t.Errorf("the documents have %d commands", count)
	}
	for _, wrong := range []string{"feeds", "feed replays x.csv", "feed connect kraken --symbol EUR/USD", "monitor --healthy"} {
		if unknownCall(strings.Fields(wrong)) == "" {
			t.Errorf("%q is taken for a command", wrong)
		}
	}
}

// unknownCall returns why the program does not understand some arguments; "" if it does, or if they
// are not a call.
func unknownCall(words []string) string {
	if words[0] == "--version" || words[0] == "help" || !callWord.MatchString(words[0]) {
		return ""
	}
	at := slices.IndexFunc(commands, func(c command) bool { return c.name == words[0] })
	if at < 0 {
		return "no such command"
	}
	flags, words := commands[at].flags, words[1:]
	if parts := commands[at].parts; len(parts) > 0 && len(words) > 0 && callWord.MatchString(words[0]) {
		at := slices.IndexFunc(parts, func(p part) bool { return p.name == words[0] })
		if at < 0 {
			return "no such part of the command"
		}
		flags = parts[at].flags
	}
	for _, word := range words {
		if m := callFlag.FindStringSubmatch(word); m != nil && m[1] != "help" && !slices.Contains(flags, m[1]) {
			return "no flag --" + m[1]
		}
	}
	return ""
}
