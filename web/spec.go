package web

import (
	"crypto/sha256"
	_ "embed" // asyncapi.json
	"encoding/hex"
	"encoding/json"
	"maps"
	"net/http"
	"reflect"
	"time"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/protocol"
	"github.com/fxcast/fxcast/web/admin"
	"github.com/fxcast/fxcast/web/endpoint"
)

//go:embed asyncapi.json
var asyncAPI []byte

// getOpenAPI serves the description of the public API.
func (s *Server) getOpenAPI(w http.ResponseWriter, r *http.Request) error {
	return serveDocument(w, r, s.openAPI)
}

// getAdminOpenAPI serves the description of the API of both listeners. Only the admin listener has
// it: visitors need no list of what operators may do.
func (s *Server) getAdminOpenAPI(w http.ResponseWriter, r *http.Request) error {
	return serveDocument(w, r, s.adminOpenAPI)
}

// getSchema serves fx.proto: the schema of the binary messages on /ws.
func (s *Server) getSchema(w http.ResponseWriter, r *http.Request) error {
	return serveSpec(w, r, "text/plain; charset=utf-8", protocol.Schema())
}

func serveDocument(w http.ResponseWriter, r *http.Request, build func() ([]byte, error)) error {
	document, err := build()
	if err != nil {
		return err
	}
	return serveSpec(w, r, "application/json", document)
}

// getAsyncAPI serves the description of the messages on /ws.
func (s *Server) getAsyncAPI(w http.ResponseWriter, r *http.Request) error {
	return serveSpec(w, r, "application/json", asyncAPI)
}

func serveSpec(w http.ResponseWriter, r *http.Request, contentType string, document []byte) error {
	sum := sha256.Sum256(document)
	etag := `"` + hex.EncodeToString(sum[:8]) + `"`
	h := w.Header()
	h.Set("ETag", etag)
	h.Set("Cache-Control", "no-cache")
	if r.Header.Get("If-None-Match") == etag {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	h.Set("Content-Type", contentType)
	_, _ = w.Write(document) // the client may have gone
	return nil
}

// document returns the description of the public API.
func (s *Server) document() ([]byte, error) {
	return s.api().JSON()
}

// adminDocument returns the description of the API of both listeners.
func (s *Server) adminDocument() ([]byte, error) {
	d := s.api()
	d.Admin = s.tables.admin
	maps.Copy(d.Schemas, admin.Schemas())
	d.Tags = append(d.Tags, []endpoint.Object{{"name": "sessions", "description": "sessions of all users; on ADMIN_ADDR"},
		{"name": "redis", "description": "on ADMIN_ADDR"}, {"name": "feed", "description": "symbols, sources and rejected quotes; on ADMIN_ADDR"}, {"name": "connections", "description": "on ADMIN_ADDR"}}...)
	return d.JSON()
}

func (s *Server) api() endpoint.Document {
	return endpoint.Document{
		Info: endpoint.Object{"title": "fxcast", "version": "1.0.0", "license": endpoint.Object{"name": "Apache-2.0", "identifier": "Apache-2.0"},
			"description": "Real-time forex quotes. Prices are decimal strings; times are RFC 3339 in UTC. Requests are limited per user or address; the headers RateLimit-Policy and RateLimit state the limits. Errors are problem details (RFC 9457). /asyncapi.json describes the WebSocket, and /fx.proto its binary messages."},
		Tags:    []endpoint.Object{{"name": "quotes"}, {"name": "session", "description": "the session of the request"}, {"name": "health"}, {"name": "specs"}, {"name": "page"}},
		Public:  s.tables.public,
		Schemas: maps.Clone(publicSchemas),
	}
}

// publicSchemas are the schemas of types that marshal themselves.
var publicSchemas = endpoint.Schemas{
	reflect.TypeFor[time.Time]():       {"type": "string", "format": "date-time"},
	reflect.TypeFor[json.RawMessage](): {"description": "any JSON value"},
	reflect.TypeFor[feed.Symbol]():     {"type": "string", "pattern": "^[A-Z0-9]{2,10}/[A-Z0-9]{2,10}$"},
	reflect.TypeFor[feed.Status]():     {"type": "string", "enum": []string{"live", "stale", "closed", "unknown"}},
	reflect.TypeFor[*feed.Hours]():     hoursSchema,
	reflect.TypeFor[quoteAnswer]():     quoteSchema,
	reflect.TypeFor[publishedQuotes](): publishedSchema,
	reflect.TypeFor[protocol.Candle](): candleSchema,
	reflect.TypeFor[*protocol.Day]():   daySchema,
}

var pricesSchema = endpoint.Object{"type": "array", "items": endpoint.Object{"type": "string"}, "minItems": 4, "maxItems": 4, "description": "open, high, low, close"}

var candleSchema = endpoint.Object{
	"type": "object", "required": []string{"t", "bid", "ask", "ticks", "complete"},
	"properties": endpoint.Object{
		"t":        endpoint.Object{"type": "string", "format": "date-time", "description": "when the interval began"},
		"bid":      pricesSchema,
		"ask":      pricesSchema,
		"ticks":    endpoint.Object{"type": "integer", "minimum": 1, "description": "how many quotes were accepted in the interval"},
		"complete": endpoint.Object{"type": "boolean", "description": "false: some accepted quotes may be missing in it"},
		"open":     endpoint.Object{"type": "boolean", "description": "true while the interval has not ended; absent: it has"},
	},
}

var daySchema = endpoint.Object{
	"type": "object", "required": []string{"since", "open", "high", "low", "previous_close"},
	"description": "figures of the bid in the trading day; only with a session whose role includes the symbol",
	"properties": endpoint.Object{
		"since":          endpoint.Object{"type": "string", "format": "date-time"},
		"open":           endpoint.Object{"type": "string"},
		"high":           endpoint.Object{"type": "string"},
		"low":            endpoint.Object{"type": "string"},
		"previous_close": endpoint.Object{"type": []string{"string", "null"}, "description": "the last bid of the day before; null if it is not known"},
	},
}

var hoursSchema = endpoint.Object{
	"description": "when the market is open; fx: Sunday 17:00 to Friday 17:00 in New York, except HOLIDAYS",
	"anyOf": []endpoint.Object{
		{"type": "string", "enum": []string{"fx", "always"}},
		{"type": "object", "required": []string{"open", "close", "zone"}, "properties": endpoint.Object{
			"open":     endpoint.Object{"type": "string", "examples": []string{"Sun 17:00"}},
			"close":    endpoint.Object{"type": "string", "examples": []string{"Fri 17:00"}},
			"zone":     endpoint.Object{"type": "string", "examples": []string{"America/New_York"}},
			"holidays": endpoint.Object{"type": "array", "items": endpoint.Object{"type": "string", "format": "date"}},
		}},
	},
}

// A quoteAnswer stands in the table for the JSON that quoteJSON returns.
type quoteAnswer struct{}

var quoteSchema = endpoint.Object{
	"type": "object", "required": []string{"symbol", "bid", "ask", "ts", "seq", "epoch"},
	"properties": endpoint.Object{
		"symbol":   endpoint.Object{"type": "string", "pattern": "^[A-Z0-9]{2,10}/[A-Z0-9]{2,10}$"},
		"bid":      endpoint.Object{"type": "string", "description": "decimal, with the digits that the producer sent"},
		"ask":      endpoint.Object{"type": "string"},
		"ts":       endpoint.Object{"type": "string", "format": "date-time"},
		"seq":      endpoint.Object{"type": "integer", "minimum": 1, "description": "counts the accepted ticks of the symbol within the epoch"},
		"epoch":    endpoint.Object{"type": "string"},
		"bid_size": endpoint.Object{"type": "string", "description": "decimal; absent if the producer sent none"},
		"ask_size": endpoint.Object{"type": "string"},
		"gap":      endpoint.Object{"type": "boolean", "description": "true if the price jumped and this quote confirmed it; absent: false"},
		"status":   endpoint.Object{"type": "string", "enum": []string{"stale", "closed", "unknown"}, "description": "absent: live"},
	},
}

// publishedQuotes stands in the table for the input that feed.SplitInput accepts.
type publishedQuotes struct{}

var publishedSchema = func() endpoint.Object {
	number := endpoint.Object{"type": []string{"string", "number"}, "description": "decimal; read exactly"}
	text := endpoint.Object{"type": "string"}
	at := endpoint.Object{"type": []string{"string", "number"}}
	one := endpoint.Object{"type": "object", "description": "field names may be in any case", "properties": endpoint.Object{
		"symbol": text, "pair": text, "instrument": text,
		"currency": endpoint.Object{"type": "string", "description": "a pair, or one currency code that is quoted against FEED_BASE"},
		"bid":      number, "ask": number, "price": number, "bid_size": number, "ask_size": number,
		"ts":        endpoint.Object{"type": []string{"string", "number"}, "description": "RFC 3339, Unix time in s, ms, µs or ns, or YYYYMMDD-HH:MM:SS"},
		"timestamp": at, "time": at, "datetime": at, "t": at,
		"source": endpoint.Object{"type": []string{"string", "number"}},
	}}
	return endpoint.Object{"anyOf": []endpoint.Object{one, {"type": "array", "items": one}}}
}()
