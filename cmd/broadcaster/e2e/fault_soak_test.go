package e2e

import (
	"cmp"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/fxcast/fxcast/internal/faulttest"
	"github.com/fxcast/fxcast/internal/redistest"
)

// A battle is a kind of Redis and what can go wrong with it.
type battle struct {
	name     string
	replicas bool // so that PUBLISH_ACK may be replicated

	// start returns a running arena, the faults of this Redis alone, and those
	// of any. settings are those of the nodes beside Redis.
	start func(t *testing.T, settings ...string) (a *arena, own, common []faulttest.Fault)
}

var battles = []battle{
	{"standalone", false, func(t *testing.T, settings ...string) (*arena, []faulttest.Fault, []faulttest.Fault) {
		server := redistest.Start(t, persistent...)
		proxy := redistest.StartProxy(t, server.Addr())
		a := newArena(t, server.Client(), append(settings, "REDIS_URL=redis://"+proxy.Addr()), nil)
		return a, slices.Concat(serverFaults(server), networkFaults(proxy)), slices.Concat(a.commandFaults(), a.ourFaults())
	}},
	{"sentinel", true, func(t *testing.T, settings ...string) (*arena, []faulttest.Fault, []faulttest.Fault) {
		opts := redistest.Options{Args: persistent}
		s := opts.StartSentinel(t)
		a := newArena(t, s.Client(), append(settings, sentinelSettings(s, opts)...), nil)
		a.watchMasters([2]*redistest.Server{s.Master(), s.Replica()})
		return a, sentinelFaults(s), slices.Concat(a.commandFaults(), a.ourFaults())
	}},
	{"cluster", true, func(t *testing.T, settings ...string) (*arena, []faulttest.Fault, []faulttest.Fault) {
		opts := redistest.Options{Args: persistent, Replicas: true}
		c := opts.StartCluster(t)
		a := newArena(t, c.Client(), append(settings, clusterSettings(c, opts)...), nil)
		a.watchMasters([2]*redistest.Server{c.Server(0), c.Server(3)}, [2]*redistest.Server{c.Server(1), c.Server(4)}, [2]*redistest.Server{c.Server(2), c.Server(5)})
		return a, clusterFaults(c), slices.Concat(a.commandFaults(), a.ourFaults())
	}},
	{"embedded", false, func(t *testing.T, settings ...string) (*arena, []faulttest.Fault, []faulttest.Fault) {
		rdb, addr := redistest.Embedded(t)
		proxy := redistest.StartProxy(t, addr)
		a := newArena(t, rdb, append(settings, "REDIS_URL=redis://"+proxy.Addr()), nil)
		common := slices.DeleteFunc(slices.Concat(a.commandFaults(), a.ourFaults()), func(f faulttest.Fault) bool {
			return slices.Contains([]string{"CLIENT KILL", "maxmemory", "revocation as subscriptions end"}, f.Name) // commands it does not know
		})
		return a, networkFaults(proxy), common
	}},
}

// forcedFailoverCosts is how much may be lost when an operator has Sentinel replace a master.
const forcedFailoverCosts = 500 * time.Millisecond

// TestFailovers has each kind of failover happen once.
func TestFailovers(t *testing.T) {
	t.Parallel()
	for _, b := range battles {
		if !b.replicas {
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
			result := a.run(report, b.name, steps)
			logReport(t, report)
			for _, o := range result.Outcomes {
				if lost := time.Duration(o.Lost) * result.Every; o.Fault == forcedFailover && lost > forcedFailoverCosts {
					t.Errorf("%s: the ticks of %v were accepted and reached nobody, want %v at most", o.Fault, lost, forcedFailoverCosts)
				}
			}
		})
	}
}

// ackVariable is PUBLISH_ACK of the nodes and the publisher in TestSoak, over each kind of Redis
// that has replicas; empty = accepted.
const ackVariable = "FXCAST_PUBLISH_ACK"

// TestSoak injects faults for the time in SOAK, over every kind of Redis in turn, and writes what
// each cost. With FXCAST_PUBLISH_ACK=replicated no tick that was answered as replicated may be
// lost. FXCAST_FAULT_SEED replays the faults.
func TestSoak(t *testing.T) {
	if os.Getenv("SOAK") == "" {
		t.Skip("SOAK is not set; make soak SOAK=10m")
	}
	all, err := time.ParseDuration(os.Getenv("SOAK"))
	if err != nil {
		t.Fatalf("SOAK: want a duration such as 10m: %v", err)
	}
	ack := cmp.Or(os.Getenv(ackVariable), "accepted")
	if ack != "accepted" && ack != "replicated" {
		t.Fatalf("%s: want accepted or replicated", ackVariable)
	}
	seed := faulttest.Seed(t)
	report := &faulttest.Report{}
	for _, b := range battles {
		ack := ack
		if !b.replicas {
			ack = "accepted"
		}
		t.Run(b.name, func(t *testing.T) {
			a, own, common := b.start(t, "PUBLISH_ACK="+ack)
			a.run(report, b.name+" "+ack, faulttest.Schedule(seed, slices.Concat(own, common), all/time.Duration(len(battles))))
		})
	}
	logReport(t, report)
}
