package config

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"
)

// A setting is a field of Config with an env tag.
type setting struct {
	name     string
	index    []int // of the field in Config
	standard string
	embedded string // the default of a server with the embedded Redis
	shown    string // the default as the documentation has it; "" = none
	empty    string // what an empty value means; "" = the default
	low      int64  // of an int or a time.Duration; no range if low is not below high
	high     int64
	oneOf    []string
	form     form
	secret   bool
	meaning  string // with `code`
}

// settings has every setting, in the order of the fields.
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

// newSetting reads the tags of a field. It panics on a bad tag, which is a bug.
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

// parseBound parses one end of a range: a duration if the field is one, else a number.
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

// value returns the text of a setting: from the environment, or else the default.
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

// A reader is a type with its own text form. read parses a text that is not empty, and reports its
// faults.
type reader interface {
	read(name, text string, k *checker)
}

// parse fills the fields of c from the text of each setting.
func (c *Config) parse(vars map[string]string, k *checker) {
	texts := make(map[string]string, len(settings))
	for i := range settings {
		s := &settings[i]
		if text := s.value(vars, c.Embedded()); text != "" {
			texts[s.name] = s.plain(text, k)
		}
	}
	parts := reflect.ValueOf(c).Elem()
	for i := range parts.NumField() {
		if part := parts.Field(i); part.Kind() == reflect.Struct {
			parsePart(part, texts, k)
		}
	}
	for i := range settings {
		if s := &settings[i]; texts[s.name] != "" && !k.unread[s.name] {
			s.check(parts.FieldByIndex(s.index), texts[s.name], k)
		}
	}
}

// plain converts a text to the form that the library reads: true or false for a bool with its own
// words, and a list without blanks and empty entries.
func (s *setting) plain(text string, k *checker) string {
	switch field := reflect.TypeFor[Config]().FieldByIndex(s.index); {
	case field.Type.Kind() == reflect.Bool && s.oneOf != nil:
		s.checkText(text, k)
		return strconv.FormatBool(text == s.oneOf[1])
	case field.Type == reflect.TypeFor[[]string]():
		return strings.Join(trimmed(text), ",")
	}
	return text
}

// parsePart reads the fields of one part. The library's errors name the Go field and repeat the
// value; parsePart uses only the field.
func parsePart(part reflect.Value, texts map[string]string, k *checker) {
	ownForms := map[reflect.Type]env.ParserFunc{}
	for f := range part.Type().Fields() {
		if reflect.PointerTo(f.Type).Implements(reflect.TypeFor[reader]()) { // check calls its read
			ownForms[f.Type] = func(string) (any, error) { return reflect.Zero(f.Type).Interface(), nil }
		}
	}
	err := env.ParseWithOptions(part.Addr().Interface(), env.Options{Environment: texts, FuncMap: ownForms})
	if err == nil {
		return
	}
	all, ok := errors.AsType[env.AggregateError](err)
	if !ok {
		panic("config: " + err.Error())
	}
	for _, one := range all.Errors {
		fault, ok := errors.AsType[env.ParseError](one)
		if !ok {
			panic("config: " + one.Error())
		}
		field, _ := part.Type().FieldByName(fault.Name)
		name := field.Tag.Get("env")
		k.unreadable(name, texts[name], wanted(field.Type))
	}
}

// wanted describes the text form of a type.
func wanted(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return "want a duration with its unit, such as 10s, 1m30s or 24h"
	case t == reflect.TypeFor[slog.Level]():
		return "want debug, info, warn or error"
	case t.Kind() == reflect.Bool:
		return "want true or false"
	}
	return "want a whole number"
}

// check checks a field that was read against its tags.
func (s *setting) check(field reflect.Value, text string, k *checker) {
	switch value := field.Addr().Interface().(type) {
	case reader:
		value.read(s.name, text, k)
	case *string:
		s.checkText(text, k)
	case *[]string:
		for _, entry := range *value {
			s.checkText(entry, k)
		}
	case *int:
		if s.outside(int64(*value)) {
			k.fault(s.name, strconv.Itoa(*value), fmt.Sprintf("want a whole number from %d to %d", s.low, s.high))
		}
	case *time.Duration:
		if s.outside(int64(*value)) {
			k.fault(s.name, value.String(), fmt.Sprintf("want a duration from %v to %v", time.Duration(s.low), time.Duration(s.high)))
		}
	}
}

// outside reports whether a number is outside the range.
func (s *setting) outside(n int64) bool { return s.low < s.high && (n < s.low || n > s.high) }

func (s *setting) checkText(text string, k *checker) {
	if s.oneOf != nil && !slices.Contains(s.oneOf, text) {
		k.fault(s.name, text, "want one of "+strings.Join(s.oneOf, ", "))
	}
	if s.form.ok != nil && !s.form.ok(text) {
		k.fault(s.name, text, s.form.want)
	}
}

// trimmed splits a comma list, and removes empty entries and the blanks around entries.
func trimmed(list string) (entries []string) {
	for entry := range strings.SplitSeq(list, ",") {
		if entry = strings.TrimSpace(entry); entry != "" {
			entries = append(entries, entry)
		}
	}
	return entries
}
