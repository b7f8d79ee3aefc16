// Package endpoint turns one table of endpoints into everything that a listener needs: the
// mux with its answers to other methods, the checks around each handler, and the OpenAPI
// document.
//
//	endpoint.go   Endpoint, Access: one line of a table
//	mux.go        builds the mux from tables
//	envelope.go   wraps every request of a listener
//	problem.go    errors as problem details (RFC 9457)
//	body.go       JSON in and out
//	query.go      query parameters
//	openapi.go    builds the document from tables, schema.go the schemas of its types
//	assets.go     files of a page
//
// A handler returns an error instead of writing one. The package does not depend on tokens
// or limits: other packages of web supply the Gate that makes the checks of an Access.
package endpoint

import (
	"net/http"
	"time"
)

// A Handler writes the answer to a request or returns an error. The mux writes the Problem
// to which AsProblem maps the error. An error that wraps ErrAnswered writes nothing.
type Handler func(http.ResponseWriter, *http.Request) error

// An Endpoint is one method and path of a listener. The fields up to Audit decide how it is
// served; those from Tag on describe it. An endpoint without a Summary is not in the
// document.
type Endpoint struct {
	Pattern string // as in http.ServeMux; without a method, the handler decides on methods
	Handler Handler
	Access  Access
	// AdmitsItself means that the handler makes the checks of Access itself, after cheaper ones.
	AdmitsItself bool
	Time         time.Duration // bounds the context of the request; 0: RequestTime
	Audit        string        // names the change in the audit log; only for an Admin endpoint that changes something

	Tag, Summary string
	Path         map[string]string // description of each path parameter
	Query        []Parameter
	Body         any         // a value of the type that its JSON decodes to; nil: no body
	Lines        bool        // the body may also be NDJSON
	Answers      map[int]any // by status: a value of the type that is encoded, or a Text; nil: no body
	Errors       []int       // statuses of problems, in addition to those of its Access, Query and Body
}

// Access is the right that an endpoint requires of a request.
type Access string

const (
	// Open requires nothing. No session is looked up, and no request is counted.
	Open Access = ""
	// Visitor requires no session, but looks up the one that a request may have. The request
	// counts against the limits of its user, or else of its address.
	Visitor Access = "visitor"
	// SignedIn requires a session, from a cookie or a bearer token. Requests are counted.
	SignedIn Access = "session"
	// Publisher requires a publish token. The handler checks it, since it must know which
	// token it is.
	Publisher Access = "publishToken"
	// Admin requires an admin token. A query parameter that is not described is refused.
	Admin Access = "adminToken"
)

const (
	// RequestTime bounds how long one request may wait, for example for Redis.
	RequestTime = 5 * time.Second
	// SweepTime bounds an admin request that walks over all keys of Redis.
	SweepTime = 30 * time.Second
	// Endless is the Time of an endpoint without a bound, or with bounds of its own.
	Endless time.Duration = -1
)

// A Text is the content type of an answer that is not JSON.
type Text string

// A Parameter describes a query parameter.
type Parameter struct {
	Name, About string
	Schema      Object
	Required    bool
}

// described reports whether the endpoint is in the document.
func (e *Endpoint) described() bool { return e.Summary != "" }
