package check

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	apps "k8s.io/api/apps/v1"
	autoscaling "k8s.io/api/autoscaling/v2"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	"sigs.k8s.io/yaml"
)

// least are the values that have no default.
const least = `
image: { repository: registry.example.com/fxcast }
redis: { host: redis.example.com }
`

// everything turns on all parts of the chart.
const everything = `
fullnameOverride: quotes
image: { repository: registry.example.com:5000/fx/cast, digest: "sha256:` + digest + `", pullSecrets: [registry] }
redis:
  mode: sentinel
  addrs: ["s1.example.com:26379", "s2.example.com:26380"]
  masterName: mymaster
  db: 2
  tls: { enabled: true, secretName: redis-tls, clientCertificate: true }
secret: { name: fxcast }
settings: { GUEST_SESSIONS: true, GUEST_MAX: 1000000, ALLOWED_ORIGINS: "https://app.example.com", WS_COMPRESSION: "on", TRUSTED_PROXIES: 10.0.0.0/8 }
drain: { delay: 60, timeout: 120 }
tls: { secretName: fxcast-tls }
service: { type: LoadBalancer, port: 443, nodePort: 30443, annotations: { example.com/kind: "internal" }, loadBalancerSourceRanges: [10.0.0.0/8] }
ingress: { enabled: true, className: nginx, annotations: { a/b: "75" }, hosts: [fx.example.com, "*.example.org"], tlsSecretName: ingress-tls }
autoscaling: { enabled: true, clients: 20000, cpu: 80 }
podDisruptionBudget: { maxUnavailable: 2 }
networkPolicy:
  publicFrom: [{ ipBlock: { cidr: 10.0.0.0/8 } }]
  redisTo: [{ podSelector: { matchLabels: { app: redis } } }]
  redisPorts: [7000]
monitoring:
  serviceMonitor: { enabled: true, labels: { release: prometheus } }
  prometheusRule: { enabled: true, labels: { release: prometheus } }
  dashboard: { enabled: true }
serviceAccount: { annotations: { a/b: c } }
podAnnotations: { a/b: c }
podLabels: { team: fx }
nodeSelector: { kubernetes.io/os: linux }
tolerations: [{ key: fx, operator: Exists, effect: NoSchedule }]
affinity: { podAntiAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 1, podAffinityTerm: { topologyKey: zone } }] } }
priorityClassName: high
`

const digest = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// objects are the objects of a rendered chart. Every one has been decoded strictly: a field that its
// type lacks, or one that is given twice, is an error.
type objects struct {
	deployments []apps.Deployment
	services    []core.Service
	accounts    []core.ServiceAccount
	configs     []core.ConfigMap
	budgets     []policy.PodDisruptionBudget
	scalers     []autoscaling.HorizontalPodAutoscaler
	policies    []networking.NetworkPolicy
	ingresses   []networking.Ingress
	monitors    []monitoring.ServiceMonitor
	rules       []monitoring.PrometheusRule
	notes       string
}

func loadChart(t *testing.T) *chart.Chart {
	t.Helper()
	c, err := loader.LoadDir("../helm/fxcast")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	return c
}

// render renders the chart as helm install does. Later values override earlier ones.
func render(t *testing.T, values ...string) (o objects, err error) {
	t.Helper()
	merged := map[string]any{}
	for _, text := range values {
		v, err := chartutil.ReadValues([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		merged = chartutil.CoalesceTables(v, merged)
	}
	c := loadChart(t)
	release := chartutil.ReleaseOptions{Name: "prod", Namespace: "fx", Revision: 1, IsInstall: true}
	input, err := chartutil.ToRenderValues(c, merged, release, nil)
	if err != nil {
		return o, err
	}
	files, err := engine.Engine{Strict: true}.Render(c, input)
	if err != nil {
		return o, err
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if strings.HasSuffix(name, "NOTES.txt") {
			o.notes = files[name]
			continue
		}
		for _, text := range regexp.MustCompile(`(?m)^---$`).Split(files[name], -1) {
			if strings.TrimSpace(regexp.MustCompile(`(?m)^#.*$`).ReplaceAllString(text, "")) == "" {
				continue
			}
			if err := o.add(text); err != nil {
				t.Fatalf("%s: %v\n%s", name, err, text)
			}
		}
	}
	return o, nil
}

// add decodes an object by its kind.
func (o *objects) add(text string) error {
	var kind struct{ APIVersion, Kind string }
	if err := yaml.Unmarshal([]byte(text), &kind); err != nil {
		return err
	}
	switch kind.APIVersion + " " + kind.Kind {
	case "apps/v1 Deployment":
		return decode(text, &o.deployments)
	case "v1 Service":
		return decode(text, &o.services)
	case "v1 ServiceAccount":
		return decode(text, &o.accounts)
	case "v1 ConfigMap":
		return decode(text, &o.configs)
	case "policy/v1 PodDisruptionBudget":
		return decode(text, &o.budgets)
	case "autoscaling/v2 HorizontalPodAutoscaler":
		return decode(text, &o.scalers)
	case "networking.k8s.io/v1 NetworkPolicy":
		return decode(text, &o.policies)
	case "networking.k8s.io/v1 Ingress":
		return decode(text, &o.ingresses)
	case "monitoring.coreos.com/v1 ServiceMonitor":
		return decode(text, &o.monitors)
	case "monitoring.coreos.com/v1 PrometheusRule":
		return decode(text, &o.rules)
	}
	return fmt.Errorf("an object of kind %q", kind)
}

func decode[T any](text string, list *[]T) error {
	var object T
	if err := yaml.UnmarshalStrict([]byte(text), &object); err != nil {
		return err
	}
	*list = append(*list, object)
	return nil
}

func mustRender(t *testing.T, values ...string) objects {
	t.Helper()
	o, err := render(t, values...)
	if err != nil {
		t.Fatal(err)
	}
	return o
}
