package config

import (
	"errors"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A setting whose tags say what is right has wrong values of its own; any other that
// can be wrong has one in the test above.
func TestEverySettingIsDocumentedAndChecked(t *testing.T) {
	seen := map[string]bool{}
	anything := []string{"REDIS_USERNAME", "REDIS_PASSWORD", "REDIS_MASTER_NAME", "REDIS_CONF", "EMBEDDED_REDIS_ADDR", "TLS_KEY_FILE", "REDIS_KEY_FILE", "FEED_KEY", "PAGE_NOTICE"}
	for _, s := range settings {
		if seen[s.name] || s.meaning == "" {
			t.Errorf("%s: listed twice, or without a meaning", s.name)
		}
		seen[s.name] = true
		wrong := s.wrongValues()
		if len(wrong) == 0 && faulty[s.name] == "" && !slices.Contains(anything, s.name) {
			t.Errorf("%s has no wrong value in the test", s.name)
		}
		for _, value := range wrong {
			_, err := Load([]string{"REDIS_HOST=h", s.name + "=" + value})
			faults, _ := errors.AsType[Faults](err)
			if len(faults) != 1 || !strings.HasPrefix(faults[0], s.name+": want ") {
				t.Errorf("%s=%s: %q, want one fault", s.name, value, faults)
			}
		}
	}
}

// wrongValues are values that the tags of the setting, or its type, rule out.
func (s *setting) wrongValues() (wrong []string) {
	text := func(n int64) string { return strconv.FormatInt(n, 10) }
	switch reflect.ValueOf(Config{}).FieldByIndex(s.index).Interface().(type) {
	case time.Duration:
		text = func(n int64) string { return time.Duration(n).String() }
		wrong = append(wrong, "60")
	case int:
		wrong = append(wrong, "many", "1.5")
	case bool:
		wrong = append(wrong, "perhaps")
	}
	if s.low < s.high {
		wrong = append(wrong, text(s.low-1), text(s.high+1))
	}
	if s.oneOf != nil {
		wrong = append(wrong, s.oneOf[0]+"x")
	}
	return wrong
}

// One line is a setting: it is read, checked, hinted at and documented by its tags.
func TestOneLineIsASetting(t *testing.T) {
	type part struct {
		Wait time.Duration `env:"VENDOR_WAIT" default:"5s" range:"1s..1m" doc:"how long a {vendor} may be silent"`
	}
	list := describe(reflect.TypeFor[struct{ Vendor part }]())
	want := setting{name: "VENDOR_WAIT", index: []int{0, 0}, standard: "5s", shown: "5s", low: int64(time.Second), high: int64(time.Minute),
		meaning: "how long a `vendor` may be silent"}
	if len(list) != 1 || list[0].form.ok != nil || !reflect.DeepEqual(list[0], want) {
		t.Errorf("%+v, want %+v", list, want)
	}
}
