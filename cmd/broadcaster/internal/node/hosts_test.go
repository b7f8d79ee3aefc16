package node

import (
	"testing"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/programtest"
)

func TestGuardedHosts(t *testing.T) {
	for _, tc := range []struct {
		environ       []string
		public, admin string
	}{
		{nil, "127.0.0.1:8080", "127.0.0.1:9090"},
		{[]string{"HTTP_ADDR=:1234", "ADMIN_ADDR=:9090"}, ":1234", ""},
		{[]string{"REDIS_HOST=r"}, "", "127.0.0.1:9090"},
		{[]string{"REDIS_HOST=r", "ADMIN_ADDR=localhost:1"}, "", "localhost:1"},
		{[]string{"REDIS_HOST=r", "ADMIN_ADDR=[::1]:1"}, "", "[::1]:1"},
		{[]string{"REDIS_HOST=r", "ADMIN_ADDR=192.0.2.1:1"}, "", ""},
		{[]string{"REDIS_HOST=r", "ADMIN_ADDR="}, "", ""},
	} {
		if public, admin := guardedHosts(programtest.Load(t, tc.environ...)); public != tc.public || admin != tc.admin {
			t.Errorf("%q: public %q, admin %q, want %q and %q", tc.environ, public, admin, tc.public, tc.admin)
		}
	}
}
