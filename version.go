// Package fxcast has the version that its programs and packages share.
package fxcast

import (
	_ "embed"
	"strings"
)

//go:embed VERSION
var version string

// Version returns the version of this source, such as "0.2.0". A tree between two releases has that
// of the earlier one.
func Version() string { return strings.TrimSpace(version) }
