//go:build !unix

package producer

import (
	"os"
	"time"
)

// readable reports that a read may be tried: here it waits as long as it takes.
func readable(*os.File, time.Duration) (bool, error) { return true, nil }
