package web

import (
	"crypto/sha256"
	_ "embed" // asyncapi.json
	"encoding/hex"
	"net/http"
	"sync"
)

//go:embed asyncapi.json
var asyncAPI []byte

var openAPIOnce = sync.OnceValue(openAPI)

// getOpenAPI serves the description of HTTP, of both listeners.
func (s *Server) getOpenAPI(w http.ResponseWriter, r *http.Request) error {
	return serveSpec(w, r, openAPIOnce())
}

// getAsyncAPI serves the description of the messages on /ws.
func (s *Server) getAsyncAPI(w http.ResponseWriter, r *http.Request) error {
	return serveSpec(w, r, asyncAPI)
}

func serveSpec(w http.ResponseWriter, r *http.Request, document []byte) error {
	sum := sha256.Sum256(document)
	etag := `"` + hex.EncodeToString(sum[:8]) + `"`
	h := w.Header()
	h.Set("ETag", etag)
	h.Set("Cache-Control", "no-cache")
	if r.Header.Get("If-None-Match") == etag {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	h.Set("Content-Type", "application/json")
	_, _ = w.Write(document) // the client may have gone
	return nil
}
