package web_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/fxcast/fxcast/web/internal/webtest"
)

// A panic in a handler is a 500 whose name is in the log.
func TestPanicIsNamed(t *testing.T) {
	t.Parallel()
	n := webtest.Start(t, nil)
	h := n.Web.Framed(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("of this test") }))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/x", nil))
	id := w.Header().Get("X-Request-Id")
	if w.Code != 500 || id == "" || !strings.Contains(w.Body.String(), "urn:request:"+id) || strings.Contains(w.Body.String(), "of this test") {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	if log := webtest.Lines(n.Log.String(), "request panicked"); !strings.Contains(log, "request="+id) || !strings.Contains(log, "of this test") {
		t.Errorf("logged %q, want request %s", log, id)
	}
	n.Log.Reset() // else the node's end takes it for a panic of its own
}
