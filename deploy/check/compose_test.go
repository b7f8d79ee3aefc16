package check

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
)

// compose loads a compose file as Docker Compose does: strictly, with all profiles.
func compose(t *testing.T, text string) (*types.Project, error) {
	t.Helper()
	return loader.LoadWithContext(t.Context(), types.ConfigDetails{
		WorkingDir: "../..", ConfigFiles: []types.ConfigFile{{Filename: "docker-compose.yml", Content: []byte(text)}}, Environment: types.Mapping{},
	}, func(o *loader.Options) {
		o.SetProjectName("fxcast", true)
		o.Profiles = []string{"*"}
	})
}

// TestCompose checks that Docker Compose accepts docker-compose.yml, and that it gives each node the
// time to move its clients away.
func TestCompose(t *testing.T) {
	t.Parallel()
	text := string(read(t, "../docker-compose.yml"))
	p, err := compose(t, text)
	if err != nil {
		t.Fatal(err)
	}
	names := p.ServiceNames()
	slices.Sort(names)
	if want := []string{"broadcaster-1", "broadcaster-2", "nginx", "prometheus", "redis", "simulator"}; !slices.Equal(names, want) {
		t.Errorf("services %q, want %q", names, want)
	}
	for _, name := range []string{"broadcaster-1", "broadcaster-2"} {
		s := p.Services[name]
		if s.StopGracePeriod == nil || time.Duration(*s.StopGracePeriod) < 26*time.Second || s.Environment["DRAIN_TIMEOUT"] != nil {
			t.Errorf("%s: stop_grace_period %v is not longer than DRAIN_TIMEOUT (20 s) and 5 s", name, s.StopGracePeriod)
		}
	}
	for fault, change := range map[string][2]string{
		"an unknown field":  {"mem_limit: 128m", "mem_limits: 128m"},
		"a missing secret":  {"secrets: [redis_broadcaster_password, admin_token,", "secrets: [other,"},
		"a missing network": {"networks: [back]", "networks: [black]"},
		"a missing service": {"broadcaster-1: { condition", "broadcaster-9: { condition"},
	} {
		wrong := strings.Replace(text, change[0], change[1], 1)
		if _, err := compose(t, wrong); wrong == text || err == nil {
			t.Errorf("%s is not noticed", fault)
		}
	}
}
