package admin

import (
	"net/http"
	"net/http/pprof"
	profiles "runtime/pprof"
	"strings"

	"github.com/fxcast/fxcast/web/endpoint"
)

// anyProfile serves the list of profiles, and each profile that has no handler of its own.
func anyProfile(w http.ResponseWriter, r *http.Request) error {
	if name := strings.TrimPrefix(r.URL.Path, "/debug/pprof/"); name != "" && profiles.Lookup(name) == nil {
		return endpoint.NotFound("no such profile; /debug/pprof/ lists them")
	}
	pprof.Index(w, r)
	return nil
}
