package e2e

import (
	"os"
	"slices"
	"testing"
	"time"

	"github.com/fxcast/fxcast/internal/faulttest"
	"github.com/fxcast/fxcast/internal/redistest"
)

// A battle is a kind of Redis and what can go wrong with it.
type battle struct {
	name string

	// start returns a running arena, the faults of this Redis alone, and those
	// of any.
	start func(t *testing.T) (a *arena, own, common []faulttest.Fault)
}

var battles = []battle{
	{"standalone", func(t *testing.T) (*arena, []faulttest.Fault, []faulttest.Fault) {
		server := redistest.Start(t, persistent...)
		proxy := redistest.StartProxy(t, server.Addr())
		a := newArena(t, server.Client(), []string{"REDIS_URL=redis://" + proxy.Addr()}, nil)
		return a, slices.Concat(serverFaults(server), networkFaults(proxy)), slices.Concat(a.commandFaults(), a.ourFaults())
	}},
	{"sentinel", func(t *testing.T) (*arena, []faulttest.Fault, []faulttest.Fault) {
		opts := redistest.Options{Args: persistent}
		s := opts.StartSentinel(t)
		a := newArena(t, s.Client(), sentinelSettings(s, opts), nil)
		return a, sentinelFaults(s), slices.Concat(a.commandFaults(), a.ourFaults())
	}},
	{"cluster", func(t *testing.T) (*arena, []faulttest.Fault, []faulttest.Fault) {
		opts := redistest.Options{Args: persistent, Replicas: true}
		c := opts.StartCluster(t)
		a := newArena(t, c.Client(), clusterSettings(c, opts), nil)
		return a, clusterFaults(c), slices.Concat(a.commandFaults(), a.ourFaults())
	}},
	{"embedded", func(t *testing.T) (*arena, []faulttest.Fault, []faulttest.Fault) {
		rdb, addr := redistest.Embedded(t)
		proxy := redistest.StartProxy(t, addr)
		a := newArena(t, rdb, []string{"REDIS_URL=redis://" + proxy.Addr()}, nil)
		common := slices.DeleteFunc(slices.Concat(a.commandFaults(), a.ourFaults()), func(f faulttest.Fault) bool {
			return slices.Contains([]string{"CLIENT KILL", "maxmemory", "revocation as subscriptions end"}, f.Name) // commands it does not know
		})
		return a, networkFaults(proxy), common
	}},
}

// TestFailovers has each kind of failover happen once.
func TestFailovers(t *testing.T) {
	t.Parallel()
	for _, b := range battles {
		if b.name != "sentinel" && b.name != "cluster" {
			continue
		}
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			a, own, _ := b.start(t)
			report := &faulttest.Report{}
			var steps []faulttest.Step
			for _, f := range own {
				steps = append(steps, faulttest.Step{Fault: f, Calm: 200 * time.Millisecond, Hold: max(f.Shortest, 2*time.Second)})
			}
			a.run(report, b.name, steps)
			logReport(t, report)
		})
	}
}

// TestSoak injects faults for the time that SOAK says, over every kind of Redis
// in turn, and writes what each cost. FXCAST_FAULT_SEED replays it.
func TestSoak(t *testing.T) {
	if os.Getenv("SOAK") == "" {
		t.Skip("SOAK is not set; make soak SOAK=10m")
	}
	all, err := time.ParseDuration(os.Getenv("SOAK"))
	if err != nil {
		t.Fatalf("SOAK: want a duration such as 10m: %v", err)
	}
	seed := faulttest.Seed(t)
	report := &faulttest.Report{}
	for _, b := range battles {
		t.Run(b.name, func(t *testing.T) {
			a, own, common := b.start(t)
			a.run(report, b.name, faulttest.Schedule(seed, slices.Concat(own, common), all/time.Duration(len(battles))))
		})
	}
	logReport(t, report)
}
