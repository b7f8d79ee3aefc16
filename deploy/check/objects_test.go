package check

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql/parser"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"
)

// TestChartObjects checks how the objects of the chart fit together, with the least values and with
// everything turned on.
func TestChartObjects(t *testing.T) {
	t.Parallel()
	for name, values := range map[string]string{"least": least, "everything": everything} {
		o := mustRender(t, values)
		if len(o.deployments) != 1 || len(o.accounts) != 1 || len(o.services) != 2 || len(o.budgets) != 1 || len(o.policies) != 1 {
			t.Fatalf("%s: %+v", name, o)
		}
		if all := name == "everything"; (len(o.scalers) == 1) != all || (len(o.ingresses) == 1) != all || (len(o.monitors) == 1) != all || (len(o.rules) == 1) != all || (len(o.configs) == 1) != all {
			t.Errorf("%s: %d scalers, %d ingresses, %d monitors, %d rules, %d dashboards", name, len(o.scalers), len(o.ingresses), len(o.monitors), len(o.rules), len(o.configs))
		}
		t.Run(name, func(t *testing.T) {
			o.checkNames(t)
			o.checkSelectors(t)
			o.checkPod(t)
			o.checkDrain(t)
			o.checkNetwork(t)
			o.checkMonitoring(t)
			for _, s := range o.scalers {
				if s.Spec.ScaleTargetRef.Name != o.deployments[0].Name || o.deployments[0].Spec.Replicas != nil || len(s.Spec.Metrics) != 2 {
					t.Errorf("the scaler: %+v", s.Spec)
				}
			}
		})
	}
}

// checkNames checks the names and labels of all objects.
func (o objects) checkNames(t *testing.T) {
	d := o.deployments[0]
	metas := []meta.ObjectMeta{d.ObjectMeta, d.Spec.Template.ObjectMeta, o.accounts[0].ObjectMeta, o.budgets[0].ObjectMeta, o.policies[0].ObjectMeta}
	for _, s := range o.services {
		metas = append(metas, s.ObjectMeta)
	}
	for i, m := range metas {
		if faults := validation.IsDNS1035Label(m.Name); len(faults) > 0 && i != 1 {
			t.Errorf("%s: %q", m.Name, faults)
		}
		for key, value := range m.Labels {
			if faults := slices.Concat(validation.IsQualifiedName(key), validation.IsValidLabelValue(value)); len(faults) > 0 {
				t.Errorf("%s: the label %s=%s: %q", m.Name, key, value, faults)
			}
		}
		if m.Labels["app.kubernetes.io/instance"] != "prod" {
			t.Errorf("%s: labels %v", m.Name, m.Labels)
		}
	}
}

// checkSelectors checks that every selector finds the pods.
func (o objects) checkSelectors(t *testing.T) {
	pod := labels.Set(o.deployments[0].Spec.Template.Labels)
	selectors := map[string]*meta.LabelSelector{
		"deployment": o.deployments[0].Spec.Selector, "budget": o.budgets[0].Spec.Selector, "network policy": &o.policies[0].Spec.PodSelector,
	}
	for _, s := range o.services {
		selectors["service "+s.Name] = &meta.LabelSelector{MatchLabels: s.Spec.Selector}
	}
	for _, c := range o.deployments[0].Spec.Template.Spec.TopologySpreadConstraints {
		selectors[c.TopologyKey] = c.LabelSelector
	}
	for name, s := range selectors {
		selector, err := meta.LabelSelectorAsSelector(s)
		if err != nil || selector.Empty() || !selector.Matches(pod) {
			t.Errorf("%s selects %v: %v; the pods have %v", name, s, err, pod)
		}
	}
}

// checkPod checks that the container has no rights, and that what it names exists.
func (o objects) checkPod(t *testing.T) {
	pod := o.deployments[0].Spec.Template.Spec
	c := pod.Containers[0]
	s := c.SecurityContext
	if !*pod.SecurityContext.RunAsNonRoot || *pod.SecurityContext.RunAsUser == 0 || pod.SecurityContext.SeccompProfile.Type != core.SeccompProfileTypeRuntimeDefault ||
		!*s.ReadOnlyRootFilesystem || *s.AllowPrivilegeEscalation || s.Privileged != nil || !slices.Equal(s.Capabilities.Drop, []core.Capability{"ALL"}) || len(s.Capabilities.Add) > 0 {
		t.Errorf("rights: %+v %+v", pod.SecurityContext, s)
	}
	if *pod.AutomountServiceAccountToken || *o.accounts[0].AutomountServiceAccountToken || pod.ServiceAccountName != o.accounts[0].Name {
		t.Error("the pod has a token, or no account of its own")
	}
	if *pod.EnableServiceLinks {
		t.Error("services of the namespace set variables such as REDIS_PORT")
	}
	ports := map[string]int32{}
	for _, p := range c.Ports {
		ports[p.Name] = p.ContainerPort
	}
	env := map[string]string{}
	for _, e := range c.Env {
		if _, twice := env[e.Name]; twice {
			t.Errorf("%s is set twice", e.Name)
		}
		env[e.Name] = e.Value
	}
	if env["HTTP_ADDR"] != fmt.Sprint(":", ports["public"]) || env["ADMIN_ADDR"] != fmt.Sprint(":", ports["admin"]) {
		t.Errorf("ports %v, environment %v", ports, env)
	}
	for name, p := range map[string]*core.Probe{"/livez": c.LivenessProbe, "/readyz": c.ReadinessProbe} {
		if p.HTTPGet.Path != name || p.HTTPGet.Port.StrVal != "admin" || p.HTTPGet.Scheme != "" {
			t.Errorf("probe %s: %+v", name, p)
		}
	}
	if c.StartupProbe.HTTPGet.Path != "/livez" {
		t.Errorf("probe at the start: %+v", c.StartupProbe)
	}
	// Every file in the environment is in a volume, or in the image.
	image, err := os.ReadFile("../../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range env {
		if !strings.HasPrefix(value, "/") {
			continue
		}
		mounted := slices.ContainsFunc(c.VolumeMounts, func(m core.VolumeMount) bool {
			return strings.HasPrefix(value, m.MountPath+"/") && m.ReadOnly && slices.ContainsFunc(pod.Volumes, func(v core.Volume) bool {
				if v.Name != m.Name || v.Secret.SecretName == "" {
					return false
				}
				key := strings.TrimPrefix(value, m.MountPath+"/")
				return v.Secret.Items == nil || slices.ContainsFunc(v.Secret.Items, func(i core.KeyToPath) bool { return i.Path == key && i.Key == key })
			})
		})
		if !mounted && (value != "/etc/ssl/certs/ca-certificates.crt" || !strings.Contains(string(image), " /etc/ssl/certs/\n")) {
			t.Errorf("%s=%s is in no volume", name, value)
		}
	}
	if len(c.VolumeMounts) != len(pod.Volumes) {
		t.Errorf("%d volumes, %d mounts", len(pod.Volumes), len(c.VolumeMounts))
	}
}

// checkDrain checks that a node has the time to stop that it may take, and that its replacement is
// there before.
func (o objects) checkDrain(t *testing.T) {
	d := o.deployments[0]
	var drains time.Duration
	for _, e := range d.Spec.Template.Spec.Containers[0].Env {
		if strings.HasPrefix(e.Name, "DRAIN_") {
			v, err := time.ParseDuration(e.Value)
			if err != nil {
				t.Error(err)
			}
			drains += v
		}
	}
	grace := time.Duration(*d.Spec.Template.Spec.TerminationGracePeriodSeconds) * time.Second
	if drains == 0 || grace < drains+6*time.Second || grace > drains+15*time.Second {
		t.Errorf("the drains take %v, and 5 s more; the grace period is %v", drains, grace)
	}
	if r := d.Spec.Strategy.RollingUpdate; r.MaxUnavailable.IntValue() != 0 || r.MaxSurge.IntValue() != 1 {
		t.Errorf("rolling update: %+v", r)
	}
}

// checkNetwork checks that services, ingress and policy lead to ports of the container.
func (o objects) checkNetwork(t *testing.T) {
	var ports []string
	for _, p := range o.deployments[0].Spec.Template.Spec.Containers[0].Ports {
		ports = append(ports, p.Name)
	}
	admin := 0
	for _, s := range o.services {
		for _, p := range s.Spec.Ports {
			if !slices.Contains(ports, p.TargetPort.StrVal) {
				t.Errorf("service %s: no port %s", s.Name, p.TargetPort.StrVal)
			}
			if p.TargetPort.StrVal == "admin" {
				admin++
				if s.Spec.Type != core.ServiceTypeClusterIP || !s.Spec.PublishNotReadyAddresses {
					t.Errorf("the admin service: %+v", s.Spec)
				}
			}
		}
	}
	if admin != 1 {
		t.Errorf("%d services lead to the admin port", admin)
	}
	for _, i := range o.ingresses {
		for _, r := range i.Spec.Rules {
			if b := r.HTTP.Paths[0].Backend.Service; b.Name != o.services[0].Name || b.Port.Name != o.services[0].Spec.Ports[0].Name {
				t.Errorf("the ingress leads to %+v", b)
			}
		}
	}
	p := o.policies[0].Spec
	for _, in := range p.Ingress {
		if name := in.Ports[0].Port.StrVal; !slices.Contains(ports, name) || name == "admin" && len(in.From) == 0 {
			t.Errorf("the policy lets %v to %s", in.From, name)
		}
	}
	var to []int32
	for _, port := range p.Egress[1].Ports {
		to = append(to, port.Port.IntVal)
	}
	if want := map[bool][]int32{false: {6379}, true: {7000, 6379, 26379, 26380}}[len(o.scalers) == 1]; !slices.Equal(to, want) || len(p.PolicyTypes) != 2 {
		t.Errorf("the policy lets nodes to the ports %d of Redis, want %d", to, want)
	}
}

// checkMonitoring checks that the monitor finds the admin service, and that the rule has all alerts.
func (o objects) checkMonitoring(t *testing.T) {
	for _, m := range o.monitors {
		selector, err := meta.LabelSelectorAsSelector(&m.Spec.Selector)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range o.services {
			if found := selector.Matches(labels.Set(s.Labels)); found != (s.Spec.Ports[0].Name == m.Spec.Endpoints[0].Port) {
				t.Errorf("the monitor finds %s: %v", s.Name, found)
			}
		}
	}
	for _, r := range o.rules {
		for _, rule := range r.Spec.Groups[0].Rules {
			if _, err := parser.NewParser(parser.Options{}).ParseExpr(rule.Expr.String()); err != nil || strings.Contains(rule.Expr.String(), "{{") {
				t.Errorf("%s: %v", rule.Alert, err)
			}
		}
		if text := string(read(t, "alerts.yml")); len(r.Spec.Groups[0].Rules) != strings.Count(text, "- alert: ") || !strings.Contains(r.Spec.Groups[0].Rules[0].Annotations["summary"], "{{ $labels.instance }}") {
			t.Errorf("the rule has %d alerts", len(r.Spec.Groups[0].Rules))
		}
	}
	for _, c := range o.configs {
		if c.Data["fxcast.json"] != string(read(t, "grafana/fxcast.json")) {
			t.Error("the dashboard of the chart differs")
		}
	}
}
