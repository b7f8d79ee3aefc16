package webtest

import (
	"errors"
	"io/fs"
	"os"
)

// axeSource is where the packages of the tests are installed, seen from a package below web.
var axeSource = []string{"../clients/js/node_modules/axe-core/axe.min.js", "../../clients/js/node_modules/axe-core/axe.min.js"}

// Axe returns what axe-core finds on the page that is in the way of people with disabilities. The test
// is skipped if axe-core is not installed, or fails if FXCAST_REQUIRE_ALL=1.
func Axe(p *Tab) []string {
	p.T.Helper()
	var source []byte
	err := error(fs.ErrNotExist)
	for _, name := range axeSource {
		if errors.Is(err, fs.ErrNotExist) {
			source, err = os.ReadFile(name)
		}
	}
	if err != nil {
		if os.Getenv("FXCAST_REQUIRE_ALL") == "1" {
			p.T.Fatal(err)
		}
		p.T.Skip("axe-core is not installed: npm ci in clients/js does it")
	}
	return Eval[[]string](p, string(source)+`; axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) =>
		violations.flatMap(({ id, help, nodes }) => nodes.map((n) => id + ': ' + help + ' at ' + n.target.join(' ') + ' ' + n.failureSummary)))`)
}
