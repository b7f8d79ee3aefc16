// Package endpoint turns one table of endpoints into all that a listener needs of it:
// the mux with its answers to other methods, what stands around each handler, and the
// OpenAPI document.
//
//	endpoint.go   Endpoint, Access: one line of a table
//	mux.go        from tables to a mux
//	envelope.go   what stands around every request of a listener
//	problem.go    errors as problem details (RFC 9457)
//	body.go       JSON in and out
//	query.go      query parameters
//	openapi.go    from tables to a document, schema.go the schemas of its types
//	assets.go     files of a page
//
// A handler returns an error instead of writing one. The package knows no session, no
// limit and no token: what an Access asks of a request is in the Gate that a room of
// web gives for it.
package endpoint

import (
	"net/http"
	"time"
)

// A Handler answers a request, or returns why it could not. The error is answered as
// AsProblem maps it, unless it is from Answered.
type Handler func(http.ResponseWriter, *http.Request) error

// An Endpoint is one method and path of a listener. Pattern, Handler and Access decide
// how it is served; from Tag on it is described. An endpoint without a Summary is not
// in the document.
type Endpoint struct {
	Pattern string // as http.ServeMux takes it; without a method, the handler decides on methods
	Handler Handler
	Access  Access
	Own     Check         // checks of Access that the handler makes, in an order of its own
	Time    time.Duration // bounds what the request waits for; 0: RequestTime
	Audit   string        // of an Admin endpoint that changes something: the name of the change

	Tag, Summary string
	Path         map[string]string // description of each path parameter
	Query        []Parameter
	Body         any         // a value of the type of its JSON; nil: none
	Lines        bool        // the body may be NDJSON too
	Answers      map[int]any // by status, a value of the type of the JSON, or a Text; nil: no body
	Errors       []int       // statuses of problems beside those of its Access, Query and Body
}

// Access is what a request needs to be served.
type Access string

const (
	// Open needs nothing: no session is looked up, and nothing is counted.
	Open Access = ""
	// Visitor needs no session. If the request has one, it is looked up; the request
	// is counted against the limits of its user, or of its address.
	Visitor Access = "visitor"
	// SignedIn needs a session, from a cookie or a bearer token, and is counted.
	SignedIn Access = "session"
	// Publisher needs a publish token. The handler checks it, for it must know which.
	Publisher Access = "publishToken"
	// Admin needs an admin token. A query parameter that is not described is refused.
	Admin Access = "adminToken"
)

// A Check is a part of what an Access asks.
type Check int

const (
	OwnSession Check = 1 << iota // whether there is a session; it is looked up all the same
	OwnLimit                     // whether there are too many requests
)

const (
	// RequestTime bounds what one request waits for Redis.
	RequestTime = 5 * time.Second
	// SweepTime bounds an admin request that walks over all keys of Redis.
	SweepTime = 30 * time.Second
	// Endless is the Time of a request that has no bound, or bounds of its own.
	Endless time.Duration = -1
)

// A Text is an answer that is not JSON: its content type.
type Text string

// A Parameter is one of a query.
type Parameter struct {
	Name, About string
	Schema      Object
	Required    bool
}

// described reports whether the endpoint is in the document.
func (e *Endpoint) described() bool { return e.Summary != "" }
