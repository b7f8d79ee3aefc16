package endpoint

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func serve(mux http.Handler, method, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest(method, path, nil))
	return w
}

// TestMux tests that a table decides which methods a path has, how long a request may wait,
// which gate it passes, and which query parameters an admin endpoint accepts.
func TestMux(t *testing.T) {
	t.Parallel()
	var bound time.Duration
	seen := func(w http.ResponseWriter, r *http.Request) error {
		bound = 0
		if until, ok := r.Context().Deadline(); ok {
			bound = time.Until(until).Round(time.Second)
		}
		return nil
	}
	gated := 0
	gate := func(e Endpoint, next Handler) Handler {
		return func(w http.ResponseWriter, r *http.Request) error {
			gated++
			return next(w, r)
		}
	}
	mux := NewMux([]Endpoint{
		{Pattern: "GET /a", Handler: seen},
		{Pattern: "POST /a", Handler: seen, Access: Admin, Time: SweepTime, Summary: "described", Query: []Parameter{{Name: "n"}}},
		{Pattern: "GET /b", Handler: seen, Access: Admin, Time: Endless},
	}, Gates{Admin: gate}, slog.New(slog.DiscardHandler))
	for _, tc := range []struct {
		method, path string
		status       int
		allow        string
		bound        time.Duration
		gated        int
	}{
		{"GET", "/a", 200, "", RequestTime, 0},
		{"POST", "/a", 200, "", SweepTime, 1},
		{"POST", "/a?n=1", 200, "", SweepTime, 1},
		{"POST", "/a?m=1", 400, "", 0, 1},
		{"POST", "/a?n=1&n=2", 400, "", 0, 1},
		{"GET", "/b?any=1", 200, "", 0, 1}, // not described
		{"OPTIONS", "/a", 204, "GET, HEAD, POST, OPTIONS", 0, 0},
		{"DELETE", "/a", 405, "GET, HEAD, POST, OPTIONS", 0, 0},
		{"GET", "/c", 404, "", 0, 0},
		{"GET", "/api", 404, "", 0, 0},
	} {
		bound, gated = 0, 0
		w := serve(mux, tc.method, tc.path)
		if w.Code != tc.status || w.Header().Get("Allow") != tc.allow || bound != tc.bound || gated != tc.gated {
			t.Errorf("%s %s: %d, Allow %q, bound %v, gated %d; want %+v", tc.method, tc.path, w.Code, w.Header().Get("Allow"), bound, gated, tc)
		}
	}
}

// TestMuxWantsGates tests that NewMux refuses an endpoint whose Access needs a gate that is
// missing.
func TestMuxWantsGates(t *testing.T) {
	t.Parallel()
	for _, access := range []Access{Visitor, SignedIn, Admin, "misspelt"} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("access %q is served without a gate", access)
				}
			}()
			NewMux([]Endpoint{{Pattern: "GET /", Access: access}}, Gates{}, nil)
		}()
	}
}

// TestDocument tests that the document describes an endpoint by its line in the table, and
// leaves out an endpoint without a summary.
func TestDocument(t *testing.T) {
	t.Parallel()
	type inner struct {
		N int `json:"n"`
	}
	text, err := Document{
		Public: []Endpoint{{Pattern: "GET /x/{id}", Summary: "an x", Access: SignedIn, Path: map[string]string{"id": "which"},
			Answers: map[int]any{200: []inner{}, 204: nil, 206: Text("text/plain")}, Errors: []int{404}}},
		Admin: []Endpoint{{Pattern: "GET /hidden"}, {Pattern: "POST /y", Summary: "a y", Access: Admin, Body: inner{}, Lines: true}},
	}.JSON()
	if err != nil || !json.Valid(text) {
		t.Fatalf("%s %v", text, err)
	}
	for _, want := range []string{
		`"operationId":"getXId"`, `"description":"which","in":"path","name":"id"`, `"items":{"$ref":"#/components/schemas/Inner"}`,
		`"204":{"description":"No Content"}`, `"text/plain":{"schema":{"type":"string"}}`, `"404":{"$ref":"#/components/responses/Problem"}`,
		`"429":`, `{"sessionCookie":[]},{"sessionToken":[]}`, `"application/x-ndjson"`, `"413":`, `"servers":[{"description":"ADMIN_ADDR"`,
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %s in %s", want, text)
		}
	}
	if strings.Contains(string(text), "hidden") {
		t.Error("an endpoint without a summary is described")
	}
}
