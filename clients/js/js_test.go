package js_test

import (
	"testing"

	"github.com/fxcast/fxcast/internal/nodetest"
)

// TestNode runs the tests of the client in Node: units, the scenarios of clients/conformance, the
// types and the size of the package.
func TestNode(t *testing.T) {
	if out, err := nodetest.Command(t, ".", "--test", "--test-reporter=spec", "test/").CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
