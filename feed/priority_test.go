package feed_test

import (
	"strings"
	"testing"
	"time"

	"github.com/fxcast/fxcast/feed"
)

func TestPrioritiesCheck(t *testing.T) {
	for want, p := range map[string]feed.Priorities{
		"":             {Named: []feed.Priority{{Source: "main", Silence: 5 * time.Second}, {Source: "backup", Silence: 10 * time.Second}}, Others: true},
		"twice":        {Named: []feed.Priority{{Source: "a", Silence: time.Second}, {Source: "a", Silence: time.Second}}},
		"whole":        {Named: []feed.Priority{{Source: "a", Silence: time.Microsecond}}},
		"the limit is": {Named: make([]feed.Priority, 17)},
		"source":       {Named: []feed.Priority{{Source: "A b", Silence: time.Second}}},
		"source ":      {Named: []feed.Priority{{Source: "", Silence: time.Second}}},
	} {
		if err := p.Check(); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("Check of %v = %v, want %q", p, err, want)
		}
	}
}
