package endpoint

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

type asset struct {
	body []byte
	kind string
	etag string
}

// Assets returns a handler that serves the files of a folder, with index.html at /. It reads
// them into memory once. Each answer has a strong ETag, and policy as its
// Content-Security-Policy. The endpoint's pattern must be /.
func Assets(files embed.FS, folder, policy string) (Handler, error) {
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
		switch path.Ext(name) { // these do not depend on the MIME table of the machine
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
			return NotAllowed(w, "GET, HEAD")
		}
		name := r.URL.Path
		if name == "/" {
			name = "/index.html"
		}
		a, ok := assets[name]
		if !ok {
			return nothingHere(w, r)
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
