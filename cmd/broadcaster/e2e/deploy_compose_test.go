package e2e

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/config"
)

// A composeFile is docker-compose.yml, as far as these tests look at it.
type composeFile struct {
	Services map[string]composeService
	Networks map[string]struct {
		Internal bool
		IPAM     struct{ Config []struct{ Subnet string } }
	}
	Volumes map[string]any
	Secrets map[string]struct{ File string }
}

type composeService struct {
	Image, Build, User, Entrypoint any
	Environment                    map[string]string
	Volumes, Secrets, Tmpfs, Ports []string
	Command                        []string
	Healthcheck                    struct {
		Test    []string
		Disable bool
	}
	DependsOn   map[string]struct{ Condition string } `yaml:"depends_on"`
	ReadOnly    bool                                  `yaml:"read_only"`
	CapDrop     []string                              `yaml:"cap_drop"`
	SecurityOpt []string                              `yaml:"security_opt"`
	MemLimit    string                                `yaml:"mem_limit"`
	Restart     string
	Privileged  bool
	CapAdd      []string `yaml:"cap_add"`
	Networks    yaml.Node
}

// composeNodes are the services that run the broadcaster as a server.
var composeNodes = []string{"broadcaster-1", "broadcaster-2"}

func readCompose(t *testing.T) (c composeFile) {
	t.Helper()
	readYAML(t, "docker-compose.yml", &c)
	return c
}

func readYAML(t *testing.T, path string, v any) {
	t.Helper()
	text := readRoot(t, path)
	if err := yaml.Unmarshal([]byte(text), v); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// readRoot reads a file of the repository.
func readRoot(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// environ is the environment of a service, with its secrets at another place.
// ${NAME:-default} is the default, or what given says.
func (s composeService) environ(secrets string, given map[string]string) (list []string) {
	for _, name := range slices.Sorted(maps.Keys(s.Environment)) {
		value := regexp.MustCompile(`\$\{(\w+):-(.*?)\}`).ReplaceAllStringFunc(s.Environment[name], func(text string) string {
			name, standard, _ := strings.Cut(strings.Trim(text, "${}"), ":-")
			if v, ok := given[name]; ok {
				return v
			}
			return standard
		})
		list = append(list, name+"="+strings.ReplaceAll(value, "/run/secrets", secrets))
	}
	return list
}

// TestComposeFile looks at what an engine would need: every file and name is
// there, and every container has only what it needs.
func TestComposeFile(t *testing.T) {
	t.Parallel()
	c := readCompose(t)
	dockerfile := readRoot(t, "Dockerfile")
	secrets := makeSecrets(t)
	usedSecrets, usedVolumes := map[string]bool{}, map[string]bool{}
	for name, s := range c.Services {
		if !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) || len(s.CapAdd) > 0 || s.Privileged ||
			!slices.Equal(s.SecurityOpt, []string{"no-new-privileges:true"}) || s.MemLimit == "" || s.Restart != "unless-stopped" {
			t.Errorf("%s: want read_only, cap_drop ALL, no-new-privileges, mem_limit and restart: %+v", name, s)
		}
		if image, _ := s.Image.(string); image != "fxcast" && !regexp.MustCompile(`:v?[0-9]+\.[0-9]+[a-z0-9.-]*$`).MatchString(image) {
			t.Errorf("%s: the image %q names no version", name, image)
		}
		for _, v := range s.Volumes {
			from, to, _ := strings.Cut(v, ":")
			if !strings.HasPrefix(from, "./") {
				if _, ok := c.Volumes[from]; !ok {
					t.Errorf("%s: there is no volume %s", name, from)
				}
				usedVolumes[from] = true
				continue
			}
			if info, err := os.Stat(filepath.Join(root, from)); err != nil || !info.Mode().IsRegular() {
				t.Errorf("%s mounts %s: %v", name, from, err)
			}
			if !strings.HasSuffix(to, ":ro") {
				t.Errorf("%s may write to %s", name, from)
			}
		}
		// What it reads of secrets is what it is given, in both directions.
		text, err := yaml.Marshal([]any{s.Environment, s.Healthcheck.Test})
		if err != nil {
			t.Fatal(err)
		}
		uses := string(text)
		if name == "redis" {
			uses += "\n" + strings.ReplaceAll(readRoot(t, "deploy/redis-start.sh"), "redis_${user}_password", "")
			for _, user := range []string{"producer", "broadcaster", "monitor"} {
				uses += " /run/secrets/redis_" + user + "_password"
			}
		}
		for _, secret := range s.Secrets {
			usedSecrets[secret] = true
			if _, ok := c.Secrets[secret]; !ok {
				t.Errorf("%s: there is no secret %s", name, secret)
			}
			if !strings.Contains(uses, "/run/secrets/"+secret) {
				t.Errorf("%s is given the secret %s and does not read it", name, secret)
			}
		}
		for _, m := range regexp.MustCompile(`/run/secrets/(\w+)`).FindAllStringSubmatch(uses, -1) {
			if !slices.Contains(s.Secrets, m[1]) {
				t.Errorf("%s reads the secret %s and is not given it", name, m[1])
			}
		}
		for on, d := range s.DependsOn {
			other, ok := c.Services[on]
			healthy := len(other.Healthcheck.Test) > 0 || other.Image == "fxcast" && !other.Healthcheck.Disable && strings.Contains(dockerfile, "\nHEALTHCHECK ")
			if !ok || d.Condition != "service_healthy" || !healthy {
				t.Errorf("%s waits for %s (%s), which has no health check", name, on, d.Condition)
			}
		}
		if s.Image == "fxcast" {
			if s.Healthcheck.Disable == slices.Contains(composeNodes, name) {
				t.Errorf("%s: the health check of the image asks a server, so nodes have it and others do not", name)
			}
			if s.Build != "." {
				t.Errorf("%s: build is %v", name, s.Build)
			}
			// Every name is a setting, and every value a valid one.
			cfg, err := config.Load(s.environ(secrets, nil))
			if err != nil || len(cfg.Warnings) > 0 || cfg.Embedded() {
				t.Errorf("%s: %v, warnings %q, embedded %v", name, err, cfg.Warnings, cfg.Embedded())
			}
			for variable := range s.Environment {
				if !config.Known(variable) {
					t.Errorf("%s: %s is no setting", name, variable)
				}
			}
		}
	}
	for secret, where := range c.Secrets {
		if !usedSecrets[secret] {
			t.Errorf("nobody uses the secret %s", secret)
		}
		if _, err := os.Stat(filepath.Join(filepath.Dir(secrets), where.File)); err != nil {
			t.Errorf("the commands of docs/deployment.md do not make %s", where.File)
		}
	}
	if made, _ := os.ReadDir(secrets); len(made) != len(c.Secrets) {
		t.Errorf("docs/deployment.md makes %d secrets, the compose file has %d", len(made), len(c.Secrets))
	}
	for volume := range c.Volumes {
		if !usedVolumes[volume] {
			t.Errorf("nobody uses the volume %s", volume)
		}
	}
	if ignored := readRoot(t, ".dockerignore"); !slices.Contains(strings.Fields(ignored), "secrets") {
		t.Error(".dockerignore lets the secrets into the image")
	}
}

// TestComposeNetwork: Redis cannot be reached from outside, and only nginx is
// believed about addresses.
func TestComposeNetwork(t *testing.T) {
	t.Parallel()
	c := readCompose(t)
	address := func(service string) string {
		var networks map[string]struct {
			Address string `yaml:"ipv4_address"`
		}
		node := c.Services[service].Networks
		if err := node.Decode(&networks); err != nil {
			t.Fatal(service, err)
		}
		return networks["front"].Address
	}
	subnet := strings.TrimSuffix(c.Networks["front"].IPAM.Config[0].Subnet, "0/24")
	seen := map[string]bool{}
	for _, service := range append([]string{"nginx"}, composeNodes...) {
		a := address(service)
		if !strings.HasPrefix(a, subnet) || seen[a] || a == subnet+"1" {
			t.Errorf("%s has the address %q in %s0/24", service, a, subnet)
		}
		seen[a] = true
	}
	for _, node := range composeNodes {
		if got := c.Services[node].Environment["TRUSTED_PROXIES"]; got != address("nginx")+"/32" {
			t.Errorf("%s trusts %s, want nginx alone, %s", node, got, address("nginx"))
		}
		if len(c.Services[node].Ports) > 0 {
			t.Errorf("%s publishes %q past nginx", node, c.Services[node].Ports)
		}
	}
	var redisNetworks []string
	redisNode := c.Services["redis"].Networks
	if err := redisNode.Decode(&redisNetworks); err != nil || !slices.Equal(redisNetworks, []string{"back"}) || !c.Networks["back"].Internal || len(c.Services["redis"].Ports) > 0 {
		t.Errorf("redis is in %v (%v) and publishes %v", redisNetworks, err, c.Services["redis"].Ports)
	}
	for _, p := range c.Services["prometheus"].Ports {
		if !strings.HasPrefix(p, "127.0.0.1:") {
			t.Errorf("Prometheus has no password and is published as %s", p)
		}
	}
	// The other files name the same places.
	proxy, scrape := readRoot(t, "deploy/nginx.conf"), readRoot(t, "deploy/prometheus.yml")
	for _, node := range composeNodes {
		if !strings.Contains(proxy, "server "+node+":8080") || !strings.Contains(scrape, `"`+node+c.Services[node].Environment["ADMIN_ADDR"]+`"`) {
			t.Errorf("nginx.conf or prometheus.yml does not know %s", node)
		}
	}
}

// TestDockerfile: what it builds and copies exists, and it ends as a user that is
// not root.
func TestDockerfile(t *testing.T) {
	t.Parallel()
	text := readRoot(t, "Dockerfile")
	for _, m := range regexp.MustCompile(`(?m)^COPY ([^-].*) \S+$`).FindAllStringSubmatch(text, -1) {
		for path := range strings.FieldsSeq(m[1]) {
			if path == "dist/bin/broadcaster-linux-${TARGETARCH}" { // by internal/release
				continue
			}
			if _, err := os.Stat(filepath.Join(root, path)); err != nil {
				t.Error(err)
			}
		}
	}
	build := regexp.MustCompile(`(?m)^RUN CGO_ENABLED=0 go build .*-o (\S+) (\S+)$`).FindStringSubmatch(text)
	if build == nil {
		t.Fatal("no static build")
	}
	if _, err := os.Stat(filepath.Join(root, build[2], "main.go")); err != nil {
		t.Error(err)
	}
	last := text[strings.LastIndex(text, "\nFROM "):]
	for _, want := range []string{
		"FROM scratch\n", "COPY --from=program " + build[1] + " /broadcaster\n", "USER 65532:65532\n", "STOPSIGNAL SIGTERM\n",
		`ENTRYPOINT ["/broadcaster"]`, `CMD ["/broadcaster", "healthcheck"]`, "ENV ZONEINFO=/zoneinfo.zip\n",
	} {
		if !strings.Contains(last, want) {
			t.Errorf("the image lacks %q", want)
		}
	}
	if !strings.HasPrefix(text[strings.Index(text, "\nARG ")+1:], "ARG PROGRAM=build\n") || !strings.Contains(text, "\nFROM ${PROGRAM} AS program\n") {
		t.Error("the program is not the one that it builds, unless another is asked for")
	}
	// The Go version is that of go.mod.
	version := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(readRoot(t, "go.mod"))[1]
	if !strings.Contains(text, "FROM golang:"+version+"-alpine AS build") {
		t.Errorf("it does not build with Go %s", version)
	}
}
