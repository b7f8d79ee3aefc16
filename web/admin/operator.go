package admin

import (
	"embed"

	"github.com/fxcast/fxcast/web/endpoint"
)

//go:embed operator
var operator embed.FS

// operatorSecurity lets the operator's page load only what this server serves. The browser must
// also refuse any text that is used as markup or script.
const operatorSecurity = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// operatorHandler returns the handler of the operator's page, and of the colors that it shares with
// the public page. The page needs no token, since it contains no data: it asks the operator for a
// token and sends it with each call.
func operatorHandler(colors endpoint.Folder) (endpoint.Handler, error) {
	return endpoint.Assets(operatorSecurity, endpoint.Folder{Files: operator, Name: "operator", At: "/"}, colors)
}
