package web

import (
	"embed"

	"github.com/fxcast/fxcast/web/endpoint"
)

//go:embed static
var static embed.FS

// contentSecurity lets the page load nothing that is not ours. The hash is that
// of the one style element the chart library makes, for its logo.
const contentSecurity = "default-src 'none'; script-src 'self'; " +
	"style-src 'self' 'sha256-3pRED1tOXas1FXFoPb9TGCjmYe9XQsmO9OV23khV2nY='; img-src 'self' data:; " +
	"connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// pageHandler serves the embedded page and its parts.
func pageHandler() (endpoint.Handler, error) {
	return endpoint.Assets(static, "static", contentSecurity)
}
