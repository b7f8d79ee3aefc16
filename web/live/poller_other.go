//go:build !linux

package live

import "errors"

// A poller is used on Linux only. On other systems no connection is parked, since none is usable
// without blocking.
type poller struct{}

func (*poller) watch(*socket) error { return errors.ErrUnsupported }

func (*poller) forget(*socket) {}

func (*poller) close() {}
