package feed_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/fxcast/fxcast/feed"
)

// checkText checks the guarantees for a text that clients see.
func checkText(t testing.TB, text string) {
	t.Helper()
	if text == "" || len(text) > 400 || !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		t.Errorf("text may not be shown (%d bytes): %.500q", len(text), text)
	}
}

// checkRejection checks that err is a well-formed *Rejection and returns its reason.
func checkRejection(t testing.TB, err error) feed.Reason {
	t.Helper()
	r, ok := errors.AsType[*feed.Rejection](err)
	if !ok || r == nil {
		t.Fatalf("%T %v; want a *Rejection", err, err)
	}
	checkText(t, r.Message)
	if !slices.Contains(feed.Reasons(), r.Reason) {
		t.Errorf("reason %q is not in Reasons", r.Reason)
	}
	return r.Reason
}

func TestReasons(t *testing.T) {
	all := feed.Reasons()
	sorted := slices.Sorted(slices.Values(all))
	if len(slices.Compact(sorted)) != len(all) || slices.Contains(all, "") {
		t.Errorf("Reasons() has a duplicate or an empty one: %q", all)
	}
	all[0] = "changed"
	if feed.Reasons()[0] == "changed" {
		t.Error("Reasons() returns its own slice")
	}
}
