package web

import (
	"maps"
	"reflect"
	"slices"
	"testing"

	"github.com/fxcast/fxcast/protocol"
)

// TestQuoteSchema: the OpenAPI document has the fields of a quote, but for skipped,
// which is of a connection.
func TestQuoteSchema(t *testing.T) {
	want := (&schemas{named: object{}}).structure(reflect.TypeFor[protocol.Quote]())["properties"].(object)
	delete(want, "skipped")
	described := slices.Sorted(maps.Keys(quoteSchema["properties"].(object)))
	if fields := slices.Sorted(maps.Keys(want)); !slices.Equal(described, fields) {
		t.Errorf("the document has %q, a quote %q", described, fields)
	}
}
