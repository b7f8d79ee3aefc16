package config

import (
	"cmp"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A setting is a field of Config with an env tag.
type setting struct {
	name     string
	index    []int // of the field in Config
	standard string
	embedded string // the default of a server that brings its own Redis
	shown    string // the default as users read it; "" = none
	empty    string // what an empty value means; "" = the default
	low      int64  // of an int or a time.Duration; no range if low is not below high
	high     int64
	oneOf    []string
	form     form
	secret   bool
	meaning  string // with `code`
}

// settings are all there are, in the order of the fields.
var settings = describe(reflect.TypeFor[Config]())

func describe(config reflect.Type) (list []setting) {
	for part := range config.Fields() {
		if part.Type.Kind() != reflect.Struct {
			continue
		}
		for f := range part.Type.Fields() {
			if name := f.Tag.Get("env"); name != "" {
				list = append(list, newSetting(name, slices.Concat(part.Index, f.Index), f))
			}
		}
	}
	return list
}

// newSetting reads the tags of a field. A tag that makes no sense is a bug.
func newSetting(name string, index []int, f reflect.StructField) setting {
	s := setting{name: name, index: index, secret: f.Tag.Get("secret") == "true",
		standard: f.Tag.Get("default"), embedded: f.Tag.Get("embedded"), empty: f.Tag.Get("empty"),
		meaning: strings.NewReplacer("{", "`", "}", "`").Replace(f.Tag.Get("doc"))}
	s.shown = cmp.Or(f.Tag.Get("shown"), s.standard)
	if s.embedded != "" {
		s.shown += " (" + s.embedded + " when embedded)"
	}
	if text := f.Tag.Get("range"); text != "" {
		low, high, _ := strings.Cut(text, "..")
		s.low, s.high = parseBound(name, f.Type, low), parseBound(name, f.Type, high)
	}
	if text := f.Tag.Get("oneof"); text != "" {
		s.oneOf = strings.Split(text, ",")
	}
	if text := f.Tag.Get("form"); text != "" {
		var ok bool
		if s.form, ok = forms[text]; !ok {
			panic("config: " + name + ": there is no form " + text)
		}
	}
	return s
}

// parseBound reads one end of a range, which is a number or a duration as the field is.
func parseBound(name string, t reflect.Type, text string) int64 {
	if t == reflect.TypeFor[time.Duration]() {
		d, err := time.ParseDuration(text)
		if err != nil {
			panic("config: " + name + ": range: " + err.Error())
		}
		return int64(d)
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		panic("config: " + name + ": range: " + err.Error())
	}
	return n
}

// value is the text that counts: what the environment says, or else the default.
func (s *setting) value(vars map[string]string, embedded bool) string {
	text, given := vars[s.name]
	switch {
	case text != "", given && s.empty != "":
		return text
	case embedded && s.embedded != "":
		return s.embedded
	}
	return s.standard
}

// A reader is a type with a text form of its own. read reports what is wrong with a
// text that is not empty.
type reader interface {
	read(name, text string, k *checker)
}

// read sets the setting's field of c. An empty text leaves it as it is.
func (s *setting) read(c *Config, text string, k *checker) {
	if text == "" {
		return
	}
	switch field := reflect.ValueOf(c).Elem().FieldByIndex(s.index).Addr().Interface().(type) {
	case reader:
		field.read(s.name, text, k)
	case *string:
		*field = text
		s.checkText(text, k)
	case *[]string:
		*field = trimmed(text)
		for _, entry := range *field {
			s.checkText(entry, k)
		}
	case *bool:
		s.readBool(field, text, k)
	case *int:
		n, err := strconv.ParseInt(text, 10, 32)
		if err != nil {
			k.unreadable(s.name, text, "want a whole number")
		} else if *field = int(n); s.outside(n) {
			k.fault(s.name, strconv.Itoa(*field), fmt.Sprintf("want a whole number from %d to %d", s.low, s.high))
		}
	case *time.Duration:
		d, err := time.ParseDuration(text)
		if err != nil {
			k.unreadable(s.name, text, "want a duration with its unit, such as 10s, 1m30s or 24h")
		} else if *field = d; s.outside(int64(d)) {
			k.fault(s.name, d.String(), fmt.Sprintf("want a duration from %v to %v", time.Duration(s.low), time.Duration(s.high)))
		}
	case *slog.Level:
		if field.UnmarshalText([]byte(text)) != nil {
			k.unreadable(s.name, text, "want debug, info, warn or error")
		}
	default:
		panic(fmt.Sprintf("config: %s: cannot read a %T", s.name, field))
	}
}

// outside reports whether a number is not in the range.
func (s *setting) outside(n int64) bool { return s.low < s.high && (n < s.low || n > s.high) }

func (s *setting) checkText(text string, k *checker) {
	if s.oneOf != nil && !slices.Contains(s.oneOf, text) {
		k.fault(s.name, text, "want one of "+strings.Join(s.oneOf, ", "))
	}
	if s.form.ok != nil && !s.form.ok(text) {
		k.fault(s.name, text, s.form.want)
	}
}

func (s *setting) readBool(field *bool, text string, k *checker) {
	if s.oneOf != nil {
		s.checkText(text, k)
		*field = text == s.oneOf[1]
		return
	}
	b, err := strconv.ParseBool(text)
	if err != nil {
		k.unreadable(s.name, text, "want true or false")
	}
	*field = b
}

// trimmed splits a comma list, and removes blanks around entries and empty ones.
func trimmed(list string) (entries []string) {
	for entry := range strings.SplitSeq(list, ",") {
		if entry = strings.TrimSpace(entry); entry != "" {
			entries = append(entries, entry)
		}
	}
	return entries
}
