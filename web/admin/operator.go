package admin

import (
	"embed"

	"github.com/fxcast/fxcast/web/endpoint"
)

//go:embed operator
var operator embed.FS

// operatorSecurity lets the operator's page load nothing that is not ours, and
// makes the browser refuse text as markup or script.
const operatorSecurity = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// operatorHandler serves the operator's page. It needs no token, since it holds no
// data: the page asks for the token and sends it with each of its calls.
func operatorHandler() (endpoint.Handler, error) {
	return endpoint.Assets(operator, "operator", operatorSecurity)
}
