package web_test

import (
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// A spec is a document whose schemas are checked more strictly than they are written: an object
// may not have a field without a description.
type spec struct {
	t    *testing.T
	root map[string]any
	c    *jsonschema.Compiler
}

func readSpec(t *testing.T, text string) *spec {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	s := &spec{t: t, root: doc.(map[string]any), c: jsonschema.NewCompiler()}
	s.c.AssertFormat()
	closeObjects(doc)
	if err := s.c.AddResource("spec.json", doc); err != nil {
		t.Fatal(err)
	}
	return s
}

// closeObjects forbids further properties in every object schema that names properties.
func closeObjects(v any) {
	switch v := v.(type) {
	case map[string]any:
		if v["type"] == "object" && v["properties"] != nil && v["additionalProperties"] == nil {
			v["additionalProperties"] = false
		}
		for _, child := range v {
			closeObjects(child)
		}
	case []any:
		for _, child := range v {
			closeObjects(child)
		}
	}
}

// check validates a JSON text against the schema at a JSON pointer.
func (s *spec) check(what, pointer, text string) {
	s.t.Helper()
	schema, err := s.c.Compile("spec.json#" + pointer)
	if err != nil {
		s.t.Errorf("%s: the schema at %s: %v", what, pointer, err)
		return
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		s.t.Errorf("%s: %v: %.200s", what, err, text)
		return
	}
	if err := schema.Validate(value); err != nil {
		s.t.Errorf("%s is not as described at %s: %v\n%.1000s", what, pointer, err, text)
	}
}

func pointer(parts ...string) string {
	var b strings.Builder
	for _, p := range parts {
		b.WriteString("/" + strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D").Replace(p))
	}
	return b.String()
}
