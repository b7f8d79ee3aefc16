package web

import (
	"cmp"
	"encoding/json"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/fxcast/fxcast/feed/accept"
	"github.com/fxcast/fxcast/limiter"
	"github.com/fxcast/fxcast/redisadmin"
	"github.com/fxcast/fxcast/session"
)

// Who may call an operation.
const (
	forAll     = ""
	forSession = "session" // cookie or bearer token
	forPublish = "publishToken"
	forAdmin   = "adminToken"
)

// An operation describes one route of routes.go.
type operation struct {
	pattern string // as it stands there
	tag     string
	who     string
	summary string
	query   []parameter
	body    any            // a value of the type of its JSON; nil: none
	answers map[int]any    // by status; nil: no body
	text    map[int]string // content type of answers that are not JSON
	errors  []int          // beside those that any of its kind may have
}

type parameter struct {
	name, about string
	schema      object
	required    bool
}

func limitOf(otherwise, most int) parameter {
	return parameter{name: "limit", about: "how many", schema: object{"type": "integer", "minimum": 1, "maximum": most, "default": otherwise}}
}

var (
	symbolsQuery = parameter{name: "symbols", about: "symbols and wildcards, separated by commas: EUR/USD,GBP/*; without, all", schema: object{"type": "string"}}
	userQuery    = parameter{name: "user_id", about: "the user", schema: object{"type": "string"}, required: true}
)

// operations describe every route, in the order of routes.go. A test holds the two
// lists to each other, and real answers to what stands here.
var operations = []operation{
	{pattern: "GET /ws", tag: "quotes", who: forSession, summary: "The WebSocket; /asyncapi.json describes what is said on it",
		query:   []parameter{{name: "ticket", about: "from POST /api/v1/ws-ticket, instead of cookie or bearer token", schema: object{"type": "string"}}},
		answers: map[int]any{101: nil}, errors: []int{400, 403, 426, 503}},
	{pattern: "GET /api/v1/symbols", tag: "quotes", summary: "All symbols that have been published; a new one shows within 3 s", answers: map[int]any{200: []symbolAnswer{}}, errors: []int{429}},
	{pattern: "GET /api/v1/quotes", tag: "quotes", who: forSession, summary: "Last quotes", query: []parameter{symbolsQuery}, answers: map[int]any{200: []quoteAnswer{}}},
	{pattern: "GET /api/v1/quotes/{base}/{quote}/history", tag: "quotes", who: forSession, summary: "The newest quotes of a symbol, oldest first",
		query:   []parameter{limitOf(defaultHistory, maxHistory), {name: "since", about: "accepted at that time or later: RFC 3339 or Unix time", schema: object{"type": "string"}}},
		answers: map[int]any{200: []quoteAnswer{}}, errors: []int{403, 404}},
	{pattern: "GET /api/v1/stream", tag: "quotes", who: forSession, summary: "The messages of the WebSocket as Server-Sent Events; Last-Event-ID resumes",
		query: []parameter{symbolsQuery, {name: "max_rate", about: "most updates per second and symbol; 0 = every tick", schema: object{"type": "number", "minimum": 0}},
			{name: "mode", about: "latest conflates, all leaves nothing out", schema: object{"type": "string", "enum": modes, "default": session.ModeLatest}}},
		answers: map[int]any{200: ""}, text: map[int]string{200: "text/event-stream"}, errors: []int{403}},
	{pattern: "POST /api/v1/quotes", tag: "quotes", who: forPublish, summary: "Publish one quote, an array, or NDJSON; at most 1 MiB", body: publishedQuotes{}, answers: map[int]any{200: publishAnswer{}}, errors: []int{429}},

	{pattern: "POST /api/v1/session/guest", tag: "session", summary: "A guest session, as a cookie; the session there is, if there is one",
		answers: map[int]any{200: sessionAnswer{}, 201: sessionAnswer{}}, errors: []int{403, 429}},
	{pattern: "POST /api/v1/session", tag: "session", who: forSession, summary: "Turn a bearer token into a cookie, with a new token and id", answers: map[int]any{200: sessionAnswer{}}},
	{pattern: "GET /api/v1/session", tag: "session", who: forSession, summary: "One's own session", answers: map[int]any{200: sessionAnswer{}}},
	{pattern: "DELETE /api/v1/session", tag: "session", summary: "Sign out", answers: map[int]any{204: nil}, errors: []int{429}},
	{pattern: "POST /api/v1/ws-ticket", tag: "session", who: forSession, summary: "A ticket for one connect of the WebSocket, good for expires_in seconds", answers: map[int]any{200: ticketAnswer{}}},

	{pattern: "GET /livez", tag: "health", summary: "The process answers", answers: map[int]any{200: liveAnswer{}}},
	{pattern: "GET /readyz", tag: "health", summary: "Clients should be sent here; the body says which check failed", answers: map[int]any{200: readyAnswer{}, 503: readyAnswer{}}},
	{pattern: "GET /openapi.json", tag: "specs", summary: "This document", answers: map[int]any{200: map[string]json.RawMessage{}}},
	{pattern: "GET /asyncapi.json", tag: "specs", summary: "The messages of the WebSocket, as AsyncAPI 3.0", answers: map[int]any{200: map[string]json.RawMessage{}}},
	{pattern: "/", tag: "page", summary: "The page", answers: map[int]any{200: ""}, text: map[int]string{200: "text/html"}, errors: []int{404}},

	{pattern: "POST /api/v1/sessions", tag: "sessions", who: forAdmin, summary: "Make a session for a user; its token is told only here", body: sessionRequest{}, answers: map[int]any{201: madeSession{}}},
	{pattern: "GET /api/v1/sessions", tag: "sessions", who: forAdmin, summary: "Sessions of a user, oldest first", query: []parameter{userQuery}, answers: map[int]any{200: []session.Session{}}},
	{pattern: "DELETE /api/v1/sessions", tag: "sessions", who: forAdmin, summary: "Sign a user out everywhere", query: []parameter{userQuery}, answers: map[int]any{200: revokedUser{}}},
	{pattern: "GET /api/v1/redis/session/{session_id}", tag: "sessions", who: forAdmin, summary: "A session, without its token", answers: map[int]any{200: session.Session{}}, errors: []int{404}},
	{pattern: "DELETE /api/v1/redis/session/{session_id}", tag: "sessions", who: forAdmin, summary: "Revoke a session; its sockets close within 1 s on every node", answers: map[int]any{200: revokedSession{}}, errors: []int{404}},

	{pattern: "GET /api/v1/redis/health", tag: "redis", who: forAdmin, summary: "Whether Redis does its work, and why not; always 200", answers: map[int]any{200: redisadmin.Health{}}},
	{pattern: "GET /api/v1/redis/stats", tag: "redis", who: forAdmin, summary: "Numbers of the server and counts of keys by kind", answers: map[int]any{200: redisadmin.Stats{}}},
	{pattern: "GET /api/v1/redis/memory", tag: "redis", who: forAdmin, summary: "Bytes by kind of key, estimated from a sample", answers: map[int]any{200: redisadmin.Memory{}}},
	{pattern: "GET /api/v1/redis/slowlog", tag: "redis", who: forAdmin, summary: "Slow commands, newest first, without values", query: []parameter{limitOf(defaultSlow, maxSlow)}, answers: map[int]any{200: []redisadmin.SlowEntry{}}, errors: []int{501}},
	{pattern: "GET /api/v1/redis/config", tag: "redis", who: forAdmin, summary: "How the server differs from its redis.conf, and settings that would be better", answers: map[int]any{200: configAnswer{}}},
	{pattern: "GET /api/v1/redis/cache/hit-ratio", tag: "redis", who: forAdmin, summary: "Hit ratio of the server, and of this node's cache", answers: map[int]any{200: hitRatioAnswer{}}},
	{pattern: "POST /api/v1/redis/cache/invalidate", tag: "redis", who: forAdmin, summary: "Delete the keys of one cache namespace that match a glob", body: invalidateRequest{}, answers: map[int]any{200: deletedAnswer{}}},
	{pattern: "POST /api/v1/redis/pubsub/publish", tag: "redis", who: forAdmin, summary: "Publish on a channel; what goes to the inbox passes the same gate as every quote", body: pubsubRequest{}, answers: map[int]any{200: receiversAnswer{}}},
	{pattern: "POST /api/v1/redis/rate-limit/check", tag: "redis", who: forAdmin, summary: "Spend of a limit, or look at it with peek", body: rateRequest{}, answers: map[int]any{200: limiter.CheckResult{}}},
	{pattern: "GET /api/v1/redis/rate-limit/offenders", tag: "redis", who: forAdmin, summary: "Who this node refuses most", query: []parameter{limitOf(20, 100)}, answers: map[int]any{200: []limiter.Offender{}}},

	{pattern: "GET /api/v1/connections", tag: "connections", who: forAdmin, summary: "Connections of all nodes, furthest behind first",
		query: []parameter{limitOf(defaultConnections, maxConnections), {name: "user_id", about: "of this user only", schema: object{"type": "string"}}}, answers: map[int]any{200: connectionsOfAll{}}},
	{pattern: "DELETE /api/v1/connections/{conn_id}", tag: "connections", who: forAdmin, summary: "Close a connection with 1008, whichever node has it", answers: map[int]any{200: kickAnswer{}}, errors: []int{404}},
	{pattern: "GET /api/v1/feed/rejected", tag: "redis", who: forAdmin, summary: "The newest rejected quotes of all nodes", answers: map[int]any{200: []accept.RejectedQuote{}}},

	{pattern: "GET /metrics", tag: "health", summary: "Prometheus metrics; on the admin listener", answers: map[int]any{200: ""}, text: map[int]string{200: "text/plain"}},
}

// operationOf finds what describes a route.
func operationOf(pattern string) (operation, bool) {
	i := slices.IndexFunc(operations, func(o operation) bool { return o.pattern == pattern })
	if i < 0 {
		return operation{}, false
	}
	return operations[i], true
}

// openAPI is the document of both listeners.
func openAPI() []byte {
	types := &schemas{named: object{}}
	paths := object{}
	for _, o := range operations {
		method, path, ok := strings.Cut(o.pattern, " ")
		if !ok {
			method, path = http.MethodGet, o.pattern
		}
		item, _ := paths[path].(object)
		if item == nil {
			item = object{}
			paths[path] = item
		}
		item[strings.ToLower(method)] = o.describe(method, path, types)
	}
	problem := types.structure(reflect.TypeFor[problemBody]())
	types.named["Problem"] = problem
	doc := object{
		"openapi": "3.1.0",
		"info": object{"title": "fxcast", "version": "1.0.0", "license": object{"name": "Apache-2.0", "identifier": "Apache-2.0"},
			"description": "Real-time forex quotes. Prices are decimal strings, times RFC 3339 in UTC. Requests are limited per user or address; RateLimit-Policy and RateLimit say how. Errors are problem details (RFC 9457). /asyncapi.json describes the WebSocket."},
		"servers": []object{{"url": "/", "description": "HTTP_ADDR"}},
		"tags": []object{{"name": "quotes"}, {"name": "session", "description": "one's own"}, {"name": "health"}, {"name": "specs"}, {"name": "page"},
			{"name": "sessions", "description": "of all users; on ADMIN_ADDR"}, {"name": "redis", "description": "on ADMIN_ADDR"}, {"name": "connections", "description": "on ADMIN_ADDR"}},
		"paths": paths,
		"components": object{
			"schemas": types.named,
			"responses": object{"Problem": object{"description": "why not", "content": object{
				"application/problem+json": object{"schema": object{"$ref": "#/components/schemas/Problem"}}}}},
			"securitySchemes": object{
				"sessionCookie": object{"type": "apiKey", "in": "cookie", "name": "session_id", "description": "SESSION_COOKIE_NAME"},
				"sessionToken":  object{"type": "http", "scheme": "bearer"},
				forPublish:      object{"type": "http", "scheme": "bearer", "description": "PUBLISH_TOKEN"},
				forAdmin:        object{"type": "http", "scheme": "bearer", "description": "ADMIN_TOKEN"},
			},
		},
	}
	return encode(doc)
}

var pathParameter = regexp.MustCompile(`\{(\w+)\}`)

// aboutPath says what stands in a path.
var aboutPath = map[string]string{"base": "three letters, ISO 4217", "quote": "three letters, ISO 4217", "session_id": "the public id, not the token", "conn_id": "as welcome says it"}

func (o operation) describe(method, path string, types *schemas) object {
	parameters := []object{}
	for _, m := range pathParameter.FindAllStringSubmatch(path, -1) {
		parameters = append(parameters, object{"name": m[1], "in": "path", "required": true, "description": aboutPath[m[1]], "schema": object{"type": "string"}})
	}
	for _, q := range o.query {
		parameters = append(parameters, object{"name": q.name, "in": "query", "required": q.required, "description": q.about, "schema": q.schema})
	}
	responses := object{"default": object{"$ref": "#/components/responses/Problem"}}
	for status, value := range o.answers {
		r := object{"description": cmp.Or(http.StatusText(status), strconv.Itoa(status))}
		switch kind := o.text[status]; {
		case kind != "":
			r["content"] = object{kind: object{"schema": object{"type": "string"}}}
		case value != nil:
			r["content"] = object{"application/json": object{"schema": types.of(reflect.TypeOf(value))}}
		}
		responses[strconv.Itoa(status)] = r
	}
	for _, status := range o.failures() {
		responses[strconv.Itoa(status)] = object{"$ref": "#/components/responses/Problem"}
	}
	d := object{"operationId": operationID(method, path), "summary": o.summary, "tags": []string{o.tag}, "responses": responses, "security": o.security()}
	if len(parameters) > 0 {
		d["parameters"] = parameters
	}
	if o.body != nil {
		content := object{"application/json": object{"schema": types.of(reflect.TypeOf(o.body))}}
		if o.who == forPublish {
			content["application/x-ndjson"] = object{"schema": object{"type": "string"}}
		}
		d["requestBody"] = object{"required": true, "content": content}
	}
	if o.who == forAdmin || path == "/metrics" {
		d["servers"] = []object{{"url": "http://127.0.0.1:9090", "description": "ADMIN_ADDR"}}
	}
	return d
}

// failures are the statuses of problems that an operation may answer with.
func (o operation) failures() []int {
	all := o.errors
	switch o.who {
	case forSession:
		all = append([]int{401, 429, 503}, all...)
	case forPublish:
		all = append([]int{400, 401, 403, 413, 503}, all...)
	case forAdmin:
		all = append([]int{400, 401, 403, 503}, all...) // 400: also for a query that is not known
	}
	if len(o.query) > 0 || o.body != nil {
		all = append([]int{400}, all...)
	}
	if o.body != nil {
		all = append([]int{413}, all...)
	}
	return all
}

func (o operation) security() []object {
	switch o.who {
	case forAll:
		return []object{}
	case forSession:
		return []object{{"sessionCookie": []string{}}, {"sessionToken": []string{}}}
	}
	return []object{{o.who: []string{}}}
}

// operationID is getApiV1Quotes for GET /api/v1/quotes.
func operationID(method, path string) string {
	id := strings.ToLower(method)
	for _, word := range regexp.MustCompile(`\w+`).FindAllString(path, -1) {
		id += strings.ToUpper(word[:1]) + word[1:]
	}
	return id
}
