// Package js has the JavaScript client, which the page of the server uses as it is published. It
// has no build step: the files are the modules that browsers load.
package js

import "embed"

// Files has the modules of the client in the folder src; index.js exports all of it.
//
//go:embed src/*.js
var Files embed.FS
