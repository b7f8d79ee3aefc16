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
	open bool // to pages of any origin
}

// A Folder is a folder of embedded files and the path under which they are served: / or /name/.
// Replace, which is optional, applies to its HTML. Pages of any origin may load its scripts if they
// are Shared.
type Folder struct {
	Files   embed.FS
	Name    string
	At      string
	Replace *strings.Replacer
	Shared  bool
}

// Assets returns a handler that serves the files of folders, with index.html at /. It reads them
// into memory once. Each answer has a strong ETag, and policy as its Content-Security-Policy. The
// endpoint's pattern must be /.
func Assets(policy string, folders ...Folder) (Handler, error) {
	assets := make(map[string]asset)
	for _, f := range folders {
		if err := f.load(assets); err != nil {
			return nil, err
		}
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
		if a.open {
			h.Set("Access-Control-Allow-Origin", "*")
		}
		if strings.Contains(r.Header.Get("If-None-Match"), a.etag) {
			w.WriteHeader(http.StatusNotModified)
			return nil
		}
		_, _ = w.Write(a.body) // the client may have gone
		return nil
	}, nil
}

// load adds the files of the folder to assets.
func (f Folder) load(assets map[string]asset) error {
	return fs.WalkDir(f.Files, f.Name, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := f.Files.ReadFile(name)
		if err != nil {
			return err
		}
		if f.Replace != nil && path.Ext(name) == ".html" {
			body = []byte(f.Replace.Replace(string(body)))
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
		assets[f.At+strings.TrimPrefix(name, f.Name+"/")] = asset{body, kind, `"` + hex.EncodeToString(sum[:12]) + `"`, f.Shared && strings.HasPrefix(kind, "text/javascript")}
		return nil
	})
}
