package web

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
)

//go:embed static
var static embed.FS

// contentSecurity lets the page load nothing that is not ours. The hash is that
// of the one style element the chart library makes, for its logo.
const contentSecurity = "default-src 'none'; script-src 'self'; " +
	"style-src 'self' 'sha256-3pRED1tOXas1FXFoPb9TGCjmYe9XQsmO9OV23khV2nY='; img-src 'self' data:; " +
	"connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

type asset struct {
	body []byte
	kind string
	etag string
}

// pageHandler serves the embedded page and its parts.
func pageHandler() (handler, error) { return assetHandler(static, "static", contentSecurity) }

// assetHandler serves the files of a folder, index.html at /, each with a strong
// ETag and the policy.
func assetHandler(files embed.FS, folder, policy string) (handler, error) {
	assets := make(map[string]asset)
	err := fs.WalkDir(files, folder, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := files.ReadFile(name)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(body)
		kind := mime.TypeByExtension(path.Ext(name))
		switch path.Ext(name) { // not left to the machine's own table
		case ".mjs", ".js":
			kind = "text/javascript; charset=utf-8"
		case ".svg":
			kind = "image/svg+xml"
		case "":
			kind = "text/plain; charset=utf-8"
		}
		assets[strings.TrimPrefix(name, folder)] = asset{body, kind, `"` + hex.EncodeToString(sum[:12]) + `"`}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return func(w http.ResponseWriter, r *http.Request) error {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			return &problem{Status: http.StatusMethodNotAllowed, Title: "Method not allowed", Detail: "allowed: GET, HEAD"}
		}
		name := r.URL.Path
		if name == "/" {
			name = "/index.html"
		}
		a, ok := assets[name]
		if !ok {
			return notFound(w, r)
		}
		h := w.Header()
		h.Set("Content-Type", a.kind)
		h.Set("Content-Security-Policy", policy)
		h.Set("Cache-Control", "no-cache")
		h.Set("ETag", a.etag)
		if strings.Contains(r.Header.Get("If-None-Match"), a.etag) {
			w.WriteHeader(http.StatusNotModified)
			return nil
		}
		_, _ = w.Write(a.body) // the client may have gone
		return nil
	}, nil
}
