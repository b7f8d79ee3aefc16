package web

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"github.com/fxcast/fxcast/protocol"
	"github.com/fxcast/fxcast/web/endpoint"
)

// TestQuoteSchema tests that the OpenAPI document has the fields of a quote, except skipped, which
// only the messages of a connection have.
func TestQuoteSchema(t *testing.T) {
	text, err := endpoint.Document{Public: []endpoint.Endpoint{{Pattern: "GET /", Summary: "a quote", Answers: map[int]any{200: protocol.Quote{}}}}}.JSON()
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Components struct {
			Schemas struct {
				ProtocolQuote struct{ Properties map[string]any }
			}
		}
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	want := doc.Components.Schemas.ProtocolQuote.Properties
	if want["skipped"] == nil {
		t.Error("a quote has no skipped")
	}
	delete(want, "skipped")
	described := slices.Sorted(maps.Keys(quoteSchema["properties"].(endpoint.Object)))
	if fields := slices.Sorted(maps.Keys(want)); !slices.Equal(described, fields) {
		t.Errorf("the document has %q, a quote %q", described, fields)
	}
}
