package endpoint

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A Document describes the endpoints of both listeners as OpenAPI 3.1.
type Document struct {
	Info          Object
	Tags          []Object
	Public, Admin []Endpoint // only those with a Summary are described
	Schemas       Schemas    // of types that marshal themselves
}

// securitySchemes are the ways to authenticate. A scheme for a token of the settings has the
// name of its Access.
var securitySchemes = Object{
	"sessionCookie":   Object{"type": "apiKey", "in": "cookie", "name": "session_id", "description": "SESSION_COOKIE_NAME"},
	"sessionToken":    Object{"type": "http", "scheme": "bearer"},
	string(Publisher): Object{"type": "http", "scheme": "bearer", "description": "PUBLISH_TOKEN"},
	string(Admin):     Object{"type": "http", "scheme": "bearer", "description": "ADMIN_TOKEN"},
}

// JSON returns the document. It is built from tables and types only, so an error is a bug of
// the program.
func (d Document) JSON() ([]byte, error) {
	types := &typeSchemas{known: d.Schemas, named: Object{}}
	paths := Object{}
	add := func(endpoints []Endpoint, servers []Object) {
		for _, e := range endpoints {
			if !e.described() {
				continue
			}
			method, path, ok := strings.Cut(e.Pattern, " ")
			if !ok {
				method, path = http.MethodGet, e.Pattern
			}
			operation := e.describe(method, path, types)
			if servers != nil {
				operation["servers"] = servers
			}
			item, _ := paths[path].(Object)
			if item == nil {
				item = Object{}
				paths[path] = item
			}
			item[strings.ToLower(method)] = operation
		}
	}
	add(d.Public, nil)
	add(d.Admin, []Object{{"url": "http://127.0.0.1:9090", "description": "ADMIN_ADDR"}})
	types.named["Problem"] = types.structure(reflect.TypeFor[problemBody]())
	return json.Marshal(Object{
		"openapi": "3.1.0",
		"info":    d.Info,
		"servers": []Object{{"url": "/", "description": "HTTP_ADDR"}},
		"tags":    d.Tags,
		"paths":   paths,
		"components": Object{
			"schemas": types.named,
			"responses": Object{"Problem": Object{"description": "Why the request failed", "content": Object{
				"application/problem+json": Object{"schema": Object{"$ref": "#/components/schemas/Problem"}}}}},
			"securitySchemes": securitySchemes,
		},
	})
}

var pathParameter = regexp.MustCompile(`\{(\w+)\}`)

// describe returns the OpenAPI operation of an endpoint.
func (e *Endpoint) describe(method, path string, types *typeSchemas) Object {
	operation := Object{"operationId": operationID(method, path), "summary": e.Summary, "tags": []string{e.Tag},
		"responses": e.responses(types), "security": e.security()}
	parameters := []Object{}
	for _, m := range pathParameter.FindAllStringSubmatch(path, -1) {
		parameters = append(parameters, Object{"name": m[1], "in": "path", "required": true, "description": e.Path[m[1]], "schema": Object{"type": "string"}})
	}
	for _, q := range e.Query {
		parameters = append(parameters, Object{"name": q.Name, "in": "query", "required": q.Required, "description": q.About, "schema": q.Schema})
	}
	if len(parameters) > 0 {
		operation["parameters"] = parameters
	}
	if e.Body != nil {
		content := Object{"application/json": Object{"schema": types.of(reflect.TypeOf(e.Body))}}
		if e.Lines {
			content["application/x-ndjson"] = Object{"schema": Object{"type": "string"}}
		}
		operation["requestBody"] = Object{"required": true, "content": content}
	}
	return operation
}

func (e *Endpoint) responses(types *typeSchemas) Object {
	responses := Object{"default": Object{"$ref": "#/components/responses/Problem"}}
	for _, status := range slices.Sorted(maps.Keys(e.Answers)) {
		r := Object{"description": cmp.Or(http.StatusText(status), strconv.Itoa(status))}
		switch value := e.Answers[status].(type) {
		case nil:
		case Text:
			r["content"] = Object{string(value): Object{"schema": Object{"type": "string"}}}
		default:
			r["content"] = Object{"application/json": Object{"schema": types.of(reflect.TypeOf(value))}}
		}
		responses[strconv.Itoa(status)] = r
	}
	for _, status := range e.failures() {
		responses[strconv.Itoa(status)] = Object{"$ref": "#/components/responses/Problem"}
	}
	return responses
}

// failures returns the statuses of the problems that an endpoint may answer with.
func (e *Endpoint) failures() []int {
	all := slices.Clone(e.Errors)
	switch e.Access {
	case Visitor:
		all = append(all, 429)
	case SignedIn:
		all = append(all, 401, 429, 503)
	case Publisher:
		all = append(all, 400, 401, 403, 413, 503)
	case Admin:
		all = append(all, 400, 401, 403, 503) // 400: unknown query parameters are refused
	}
	if len(e.Query) > 0 || e.Body != nil {
		all = append(all, 400)
	}
	if e.Body != nil {
		all = append(all, 413)
	}
	return all
}

func (e *Endpoint) security() []Object {
	switch e.Access {
	case Open, Visitor:
		return []Object{}
	case SignedIn:
		return []Object{{"sessionCookie": []string{}}, {"sessionToken": []string{}}}
	}
	return []Object{{string(e.Access): []string{}}}
}

var word = regexp.MustCompile(`\w+`)

// operationID returns the OpenAPI id of an operation: getApiV1Quotes for GET /api/v1/quotes.
func operationID(method, path string) string {
	id := strings.ToLower(method)
	for _, w := range word.FindAllString(path, -1) {
		id += strings.ToUpper(w[:1]) + w[1:]
	}
	return id
}
