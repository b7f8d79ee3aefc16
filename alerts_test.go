package fxcast_test

import (
	"os"
	"os/exec"
	"testing"
)

// TestAlerts runs the tests of deploy/alerts.yml: alerts fire when they should, and only then.
func TestAlerts(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		if os.Getenv("FXCAST_REQUIRE_ALL") == "1" {
			t.Fatal("promtool is not installed, and FXCAST_REQUIRE_ALL=1")
		}
		t.Skip("promtool is not installed (Debian package prometheus); the alerts are not tested")
	}
	for _, args := range [][]string{{"check", "config", "deploy/prometheus.yml"}, {"test", "rules", "deploy/alerts_test.yml", "deploy/alerts_weekend_test.yml"}} {
		if out, err := exec.Command(promtool, args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", args, err, out)
		}
	}
}
