package web

import (
	"embed"
	"html"
	"strings"

	"github.com/fxcast/fxcast/clients/js"
	"github.com/fxcast/fxcast/web/endpoint"
)

//go:embed static
var static embed.FS

// contentSecurity lets the page load only what this server serves. The hash is that of the
// one style element that the chart library creates, for its logo.
const contentSecurity = "default-src 'none'; script-src 'self'; " +
	"style-src 'self' 'sha256-3pRED1tOXas1FXFoPb9TGCjmYe9XQsmO9OV23khV2nY='; img-src 'self' data:; " +
	"connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// pageHandler returns the handler of the embedded page, its files, and the client that it uses.
// The page shows the notice, if there is one.
func pageHandler(notice string) (endpoint.Handler, error) {
	shown := ""
	if notice != "" {
		shown = `<p class="notice">` + html.EscapeString(notice) + "</p>"
	}
	return endpoint.Assets(contentSecurity,
		endpoint.Folder{Files: static, Name: "static", At: "/", Replace: strings.NewReplacer("<!-- notice -->", shown), Shared: true},
		endpoint.Folder{Files: js.Files, Name: "src", At: "/client/", Shared: true})
}
