package node

import (
	"net"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/config"
)

// guardedHosts returns the addresses of the listeners that refuse a foreign Host, "" for one that
// does not. With the embedded Redis anyone on this machine may use the public listener, and the
// admin listener bound to loopback trusts its clients with the metrics: a page of another site,
// whose name resolves to this machine, must not reach them.
func guardedHosts(cfg config.Config) (public, admin string) {
	if cfg.Embedded() {
		public = cfg.HTTP.Addr
	}
	if a, err := net.ResolveTCPAddr("tcp", cfg.HTTP.AdminAddr); err == nil && a.IP.IsLoopback() {
		admin = cfg.HTTP.AdminAddr
	}
	return public, admin
}
