package web

import (
	"encoding/json"
	"path"
	"reflect"
	"strings"
	"time"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/limiter"
	"github.com/fxcast/fxcast/redisadmin"
)

// An object is one of JSON.
type object = map[string]any

// schemas makes JSON schemas (2020-12) of the Go types of requests and answers, so
// that the document can not say anything else than the code does.
type schemas struct {
	named object // by component name, filled as types are met
}

// known are types that write themselves into JSON.
var known = map[reflect.Type]object{
	reflect.TypeFor[time.Time]():         {"type": "string", "format": "date-time"},
	reflect.TypeFor[json.RawMessage]():   {"description": "any JSON value"},
	reflect.TypeFor[flexibleID]():        {"type": []string{"string", "integer"}},
	reflect.TypeFor[redisadmin.Number](): {"type": []string{"integer", "null"}, "description": "null: the server does not tell"},
	reflect.TypeFor[redisadmin.Text]():   {"type": []string{"string", "null"}, "description": "null: the server does not tell"},
	reflect.TypeFor[redisadmin.Status](): {"type": "string", "enum": []string{"healthy", "degraded", "unhealthy"}},
	reflect.TypeFor[redisadmin.Result](): {"type": "string", "enum": []string{"ok", "warn", "fail", "unknown"}},
	reflect.TypeFor[limiter.Seconds]():   {"type": "number", "minimum": 0, "description": "seconds, rounded up to 1 ms"},
	reflect.TypeFor[feed.Symbol]():       {"type": "string", "pattern": "^[A-Z0-9]{2,10}/[A-Z0-9]{2,10}$"},
	reflect.TypeFor[feed.Status]():       {"type": "string", "enum": []string{"live", "stale", "closed", "unknown"}},
	reflect.TypeFor[quoteAnswer]():       quoteSchema,
	reflect.TypeFor[publishedQuotes]():   publishedSchema,
}

// quoteAnswer stands for what quoteJSON makes.
type quoteAnswer struct{}

var quoteSchema = object{
	"type": "object", "required": []string{"symbol", "bid", "ask", "ts", "seq", "epoch"},
	"properties": object{
		"symbol": object{"type": "string", "pattern": "^[A-Z0-9]{2,10}/[A-Z0-9]{2,10}$"},
		"bid":    object{"type": "string", "description": "decimal, with the digits of its producer"},
		"ask":    object{"type": "string"},
		"ts":     object{"type": "string", "format": "date-time"},
		"seq":    object{"type": "integer", "minimum": 1, "description": "counts the accepted ticks of the symbol within the epoch"},
		"epoch":  object{"type": "string"},
		"status": object{"type": "string", "enum": []string{"stale", "closed", "unknown"}, "description": "absent: live"},
	},
}

// publishedQuotes stands for what may be posted: see feed.SplitInput.
type publishedQuotes struct{}

var publishedSchema = func() object {
	number := object{"type": []string{"string", "number"}, "description": "decimal; read exactly"}
	one := object{"type": "object", "properties": object{
		"symbol": object{"type": "string"}, "pair": object{"type": "string"},
		"currency": object{"type": "string", "description": "a pair, or one code, taken against FEED_BASE"},
		"bid":      number, "ask": number, "price": number,
		"ts":        object{"type": []string{"string", "integer"}, "description": "RFC 3339, or Unix milliseconds"},
		"timestamp": object{"type": []string{"string", "integer"}},
		"source":    object{"type": "string"},
	}}
	return object{"anyOf": []object{one, {"type": "array", "items": one}}}
}()

// of returns the schema of a type. Named structs become components.
func (s *schemas) of(t reflect.Type) object {
	if schema := known[t]; schema != nil {
		return schema
	}
	switch t.Kind() {
	case reflect.Pointer:
		return object{"anyOf": []object{s.of(t.Elem()), {"type": "null"}}}
	case reflect.String:
		return object{"type": "string"}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Float32, reflect.Float64:
		return object{"type": "number"}
	case reflect.Slice:
		array := object{"type": "array", "items": s.of(t.Elem())}
		if path.Base(t.Elem().PkgPath()) == "redisadmin" || t.Elem().Kind() == reflect.String {
			return object{"anyOf": []object{array, {"type": "null"}}} // of a server that does not tell
		}
		return array
	case reflect.Map:
		return object{"type": "object", "additionalProperties": s.of(t.Elem())}
	case reflect.Struct:
		if t.Name() == "" {
			return s.structure(t)
		}
		name := componentName(t)
		if _, met := s.named[name]; !met {
			s.named[name] = nil // against endless types
			s.named[name] = s.structure(t)
		}
		return object{"$ref": "#/components/schemas/" + name}
	default:
		return object{"type": "integer"}
	}
}

// componentName is RedisadminHealth, or ConnectionAnswer for the types of this package.
func componentName(t reflect.Type) string {
	upper := func(text string) string { return strings.ToUpper(text[:1]) + text[1:] }
	if t.PkgPath() == reflect.TypeFor[Server]().PkgPath() {
		return upper(t.Name())
	}
	return upper(path.Base(t.PkgPath())) + upper(t.Name())
}

func (s *schemas) structure(t reflect.Type) object {
	properties, required := object{}, []string{}
	s.fields(t, properties, &required)
	schema := object{"type": "object", "properties": properties}
	if len(required) > 0 {
		schema["required"] = required
	}
	return schema
}

func (s *schemas) fields(t reflect.Type, properties object, required *[]string) {
	for f := range fieldsOf(t) {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && name == "":
			s.fields(f.Type, properties, required)
		case name == "-" || !f.IsExported():
		default:
			if name == "" {
				name = f.Name
			}
			properties[name] = s.of(f.Type)
			if options == "" {
				*required = append(*required, name)
			}
		}
	}
}

func fieldsOf(t reflect.Type) func(func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for i := range t.NumField() {
			if !yield(t.Field(i)) {
				return
			}
		}
	}
}
