package check

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// TestChartRefuses checks that wrong values are refused by an error that names them.
func TestChartRefuses(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ values, want string }{
		{`image: { repository: "" }`, "image.repository: name the image"},
		{`redis: { host: "" }`, "/redis/host"},
		{`redis: { host: "redis://user:secret@host" }`, "/redis/host"},
		{`redis: { mode: sentinel, host: "", addrs: ["s:26379"] }`, "/redis/masterName"},
		{`redis: { mode: cluster, host: "" }`, "/redis/addrs"},
		{`redis: { mode: cluster, host: "", addrs: ["c:1"], db: 1 }`, "/redis/db"},
		{`redis: { mode: clustered }`, "/redis/mode"},
		{`redis: { password: secret }`, "password"},
		{`redis: { tls: { enabled: true, clientCertificate: true } }`, "/redis/tls/secretName"},
		{`replicas: two`, "/replicas"},
		{`replicas: 0`, "/replicas"},
		{`replica: 3`, "replica"},
		{`drain: { delay: 10s }`, "/drain/delay"},
		{`settings: { RATE_PER_MINUT: 5 }`, "RATE_PER_MINUT"},
		{`settings: { ADMIN_TOKEN: secret }`, "ADMIN_TOKEN"},
		{`settings: { REDIS_PASSWORD: secret }`, "REDIS_PASSWORD"},
		{`settings: { HTTP_ADDR: ":80" }`, "HTTP_ADDR"},
		{`settings: { WS_COMPRESSION: on }`, "/settings/WS_COMPRESSION"},
		{`settings: { GUEST_SESSIONS: "ja" }`, "/settings/GUEST_SESSIONS"},
		{`settings: { QUOTE_TTL: 1.5 }`, "/settings/QUOTE_TTL"},
		{`service: { type: Loadbalancer }`, "/service/type"},
		{`ingress: { enabled: true }`, "/ingress/hosts"},
		{`autoscaling: { enabled: true, clients: 0 }`, "/autoscaling"},
		{`networkPolicy: { redisPorts: [0] }`, "/networkPolicy/redisPorts/0"},
		{`monitoring: { serviceMonitor: { enabled: "yes" } }`, "/monitoring/serviceMonitor/enabled"},
		{`podLabels: { app.kubernetes.io/name: other }`, "app.kubernetes.io/name"},
		{`image: { digest: latest }`, "/image/digest"},
	} {
		if _, err := render(t, least, tc.values); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want an error that names %s", tc.values, err, tc.want)
		}
	}
}

// setByChart are the settings that the chart sets from values of its own.
var setByChart = []string{
	"HTTP_ADDR", "ADMIN_ADDR", "DRAIN_DELAY", "DRAIN_TIMEOUT", "TLS_CERT_FILE", "TLS_KEY_FILE",
	"REDIS_MODE", "REDIS_HOST", "REDIS_PORT", "REDIS_ADDRS", "REDIS_MASTER_NAME", "REDIS_USERNAME", "REDIS_DB",
	"REDIS_CA_FILE", "REDIS_CERT_FILE", "REDIS_KEY_FILE",
	"EMBEDDED_REDIS_ADDR", // of no use: the chart needs a Redis
}

// TestChartSettings checks that settings takes every setting of the program, except for secrets and
// for those that have values of their own.
func TestChartSettings(t *testing.T) {
	t.Parallel()
	out, err := broadcaster(t, nil, "config").Output()
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, m := range regexp.MustCompile(`(?m)^([A-Z][A-Z0-9_]+) .*$`).FindAllStringSubmatch(string(out), -1) {
		if m[1] != "NAME" && !slices.Contains(setByChart, m[1]) && !strings.Contains(m[0], "also "+m[1]+"_FILE") {
			want = append(want, m[1])
		}
	}
	var schema struct {
		Properties struct {
			Settings struct{ Properties map[string]any }
		}
	}
	if err := yaml.Unmarshal(read(t, "helm/fxcast/values.schema.json"), &schema); err != nil {
		t.Fatal(err)
	}
	got := slices.Sorted(maps.Keys(schema.Properties.Settings.Properties))
	if slices.Sort(want); !slices.Equal(got, want) || len(want) < 40 {
		t.Errorf("values.schema.json has the settings\n%q, want\n%q", got, want)
	}
}

// TestChartEnvironment runs `broadcaster config` with the environment of the container: every name is a
// setting, every value is valid, and no secret is in it.
func TestChartEnvironment(t *testing.T) {
	t.Parallel()
	for name, values := range map[string]string{
		"least": least, "everything": everything,
		"cluster": `
image: { repository: fxcast }
redis: { mode: cluster, addrs: ["a:7000", "b:7001"], tls: { enabled: true } }
secret: { name: s, publishToken: "" }
settings: { GUEST_MAX: 20000000, CANDLES: "off" }`,
	} {
		// The files that the container mounts, each with a value that fits all of them.
		root := t.TempDir()
		certFile, keyFile, err := certificate(root)
		if err != nil {
			t.Fatal(err)
		}
		secret := filepath.Join(root, "secret")
		if err := os.WriteFile(secret, []byte("0123456789abcdef0123456789\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		var env []string
		for _, e := range mustRender(t, values).deployments[0].Spec.Template.Spec.Containers[0].Env {
			value := e.Value
			switch {
			case e.ValueFrom != nil:
				t.Errorf("%s: %s is not a plain value", name, e.Name)
			case strings.HasSuffix(value, ".key"):
				value = keyFile
			case strings.HasSuffix(value, ".crt"):
				value = certFile
			case strings.HasPrefix(value, "/etc/fxcast/secret/"):
				value = secret
			}
			env = append(env, e.Name+"="+value)
		}
		cmd := broadcaster(t, env, "config")
		var faults strings.Builder
		cmd.Stderr = &faults
		out, err := cmd.Output()
		if err != nil || faults.Len() > 0 {
			t.Errorf("%s: broadcaster config: %v\n%s", name, err, &faults)
		}
		for _, e := range env {
			setting, value, _ := strings.Cut(e, "=")
			if value = regexp.QuoteMeta(value); strings.HasPrefix(setting, "ADMIN_TOKEN") || strings.HasPrefix(setting, "PUBLISH_TOKEN") || strings.HasPrefix(setting, "REDIS_PASSWORD") {
				setting, value = strings.TrimSuffix(setting, "_FILE"), "set"
			}
			if !regexp.MustCompile(`(?m)^` + setting + ` +(` + value + `|\d+m0s|\d+m) `).Match(out) {
				t.Errorf("%s: the program does not have %s\n%s", name, e, out)
			}
		}
	}
}

// TestChartPackage checks that git has what the chart needs of other directories.
func TestChartPackage(t *testing.T) {
	t.Parallel()
	files := map[string]string{}
	for _, f := range loadChart(t).Files {
		files[f.Name] = string(f.Data)
	}
	for name, path := range map[string]string{"files/alerts.yml": "alerts.yml", "files/dashboard.json": "grafana/fxcast.json"} {
		if files[name] != string(read(t, path)) {
			t.Errorf("%s of the chart is not deploy/%s", name, path)
		}
	}
	if out, err := exec.Command("git", "check-ignore", "../helm/fxcast/values.yaml").CombinedOutput(); err == nil {
		t.Errorf("git ignores %s", out)
	}
}
