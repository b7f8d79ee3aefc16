package e2e

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// elsewhere are metrics of alerts.yml that this deployment does not have.
var elsewhere = []string{"fx_tls_certificate_expires_seconds"} // nginx ends TLS

// ofConnect begins the metrics of feed connect, for which TestConnectMetrics does the same.
const ofConnect = "fx_connect_"

// tryAlerts wants every metric of deploy/alerts.yml to be one the nodes have.
func (d *deployment) tryAlerts() {
	d.t.Helper()
	var rules struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	readYAML(d.t, "deploy/alerts.yml", &rules)
	metrics := ""
	for _, n := range d.nodes {
		metrics += d.do("GET", n.admin+"/metrics", "", nil).body
	}
	manual := readRoot(d.t, "docs/troubleshooting.md")
	count := 0
	for _, r := range rules.Groups[0].Rules {
		names := regexp.MustCompile(`\bfx_\w+`).FindAllString(r.Expr, -1)
		for _, name := range names {
			if !slices.Contains(elsewhere, name) && !strings.HasPrefix(name, ofConnect) && !regexp.MustCompile(`(?m)^`+name+`[ {]`).MatchString(metrics) {
				d.t.Errorf("%s: no node has %s", r.Alert, name)
			}
		}
		// Values of labels too: an alert on a value that never comes is silent.
		for _, m := range regexp.MustCompile(`(fx_\w+)\{(\w+)=~?"([^"]+)"\}`).FindAllStringSubmatch(r.Expr, -1) {
			if strings.HasPrefix(m[1], ofConnect) {
				continue
			}
			for value := range strings.SplitSeq(m[3], "|") {
				if !regexp.MustCompile(fmt.Sprintf(`(?m)^%s\{.*%s="%s"`, m[1], m[2], value)).MatchString(metrics) {
					d.t.Errorf("%s: no %s has %s=%q", r.Alert, m[1], m[2], value)
				}
			}
		}
		if len(names) == 0 && !strings.HasPrefix(r.Expr, `up{job="fxcast`) || r.Annotations["summary"] == "" || r.Labels["severity"] == "" {
			d.t.Errorf("%s lacks something: %+v", r.Alert, r)
		}
		if !strings.Contains(manual, "`"+r.Alert+"`") {
			d.t.Errorf("docs/troubleshooting.md says nothing of the alert %s", r.Alert)
		}
		count++
	}
	if count < 10 {
		d.t.Errorf("%d alerts only", count)
	}
}
