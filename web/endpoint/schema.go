package endpoint

import (
	"path"
	"reflect"
	"strings"
)

// An Object is a JSON object.
type Object = map[string]any

// Schemas maps Go types to their JSON schemas.
type Schemas map[reflect.Type]Object

// typeSchemas derives JSON schemas (2020-12) from the Go types of requests and answers, so
// that the document cannot differ from the code.
type typeSchemas struct {
	known Schemas // of types that marshal themselves
	named Object  // by component name, filled as types are met
}

// of returns the schema of a type. Named structs become components.
func (s *typeSchemas) of(t reflect.Type) Object {
	if schema := s.known[t]; schema != nil {
		return schema
	}
	switch t.Kind() {
	case reflect.Pointer:
		return Object{"anyOf": []Object{s.of(t.Elem()), {"type": "null"}}}
	case reflect.String:
		return Object{"type": "string"}
	case reflect.Bool:
		return Object{"type": "boolean"}
	case reflect.Float32, reflect.Float64:
		return Object{"type": "number"}
	case reflect.Slice:
		array := Object{"type": "array", "items": s.of(t.Elem())}
		if path.Base(t.Elem().PkgPath()) == "redisadmin" || t.Elem().Kind() == reflect.String {
			return Object{"anyOf": []Object{array, {"type": "null"}}} // null if the server does not report it
		}
		return array
	case reflect.Map:
		return Object{"type": "object", "additionalProperties": s.of(t.Elem())}
	case reflect.Struct:
		if t.Name() == "" {
			return s.structure(t)
		}
		name := componentName(t)
		if _, met := s.named[name]; !met {
			s.named[name] = nil // ends the recursion of a type that contains itself
			s.named[name] = s.structure(t)
		}
		return Object{"$ref": "#/components/schemas/" + name}
	default:
		return Object{"type": "integer"}
	}
}

// module is the import path of this module.
var module = path.Dir(path.Dir(reflect.TypeFor[Endpoint]().PkgPath()))

// componentName returns the name of a type in the document. A type of feed or its
// subpackages has the prefix Feed, as in FeedRejectedQuote. A type of web has none, since a
// reader of the document does not see which subpackage it is from.
func componentName(t reflect.Type) string {
	upper := func(text string) string { return strings.ToUpper(text[:1]) + text[1:] }
	owner, _, _ := strings.Cut(strings.TrimPrefix(t.PkgPath(), module+"/"), "/")
	if owner == "web" {
		return upper(t.Name())
	}
	return upper(owner) + upper(t.Name())
}

func (s *typeSchemas) structure(t reflect.Type) Object {
	properties, required := Object{}, []string{}
	s.fields(t, properties, &required)
	schema := Object{"type": "object", "properties": properties}
	if len(required) > 0 {
		schema["required"] = required
	}
	return schema
}

func (s *typeSchemas) fields(t reflect.Type, properties Object, required *[]string) {
	for f := range t.Fields() {
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
