package redisadmin

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// Advice recommends a value for one setting.
type Advice struct {
	Setting string `json:"setting"`
	Current string `json:"current"`
	Wanted  string `json:"wanted"` // empty: the operator has to decide; see Why
	Why     string `json:"why"`
	How     string `json:"how"` // ApplyLive, ApplyRestart or ApplyByHand
	Node    string `json:"node,omitempty"`
}

// rule is what this program needs of one setting. wanted returns "" if current is good, and may
// return a reason that replaces why.
type rule struct {
	setting string
	why     string
	wanted  func(current string, s serverState) (want, why string)
}

// serverState is what a rule may consider in addition to its own setting.
type serverState struct {
	settings map[string]string
	memory   *MemoryInfo // nil = unknown
	kind     serverKind
}

const (
	maxmemoryWhy = "Without a limit Redis grows until the system kills it, and all sessions are lost."
	lazyWhy      = "Redis then frees evicted, expired, replaced and deleted values in the background. Otherwise every client waits for a large one."
)

// rules are ordered by importance.
var rules = []rule{
	{"maxmemory-policy", "With volatile-ttl a full server evicts the keys that would expire soonest: quotes and limiter windows, which come back automatically.", wantPolicy},
	{"maxmemory", maxmemoryWhy, wantMaxMemory},
	{"maxmemory-samples", "With fewer samples eviction picks keys that others should precede.", atLeast(5, 5)},
	{"appendonly", "Without the append-only file a crash loses new sessions and brings back those revoked since the last snapshot. The file needs disk space.", exactly("yes")},
	{"appendfsync", "everysec loses at most a second. With always every quote waits for the disk; with no the system decides when to write.", exactly("everysec")},
	{"client-output-buffer-limit", "A subscriber that does not read uses up the memory of all others until Redis disconnects it.", wantOutputLimit},
	{"timeout", "Redis then closes connections whose client is gone. It must be more than 240 s, after which the pool closes its own idle connections.", wantTimeout},
	{"tcp-keepalive", "Redis then notices within a minute that a subscriber has vanished, and frees its buffer.", between(1, 60, 60)},
	{"notify-keyspace-events", "The sockets of a session that expires, or that another program deletes, then close at once instead of within 5 s (E by key, x expired, g deleted).", wantEvents},
	{"hz", "Redis looks for expired quotes and windows this often. A lower value keeps them in memory, a higher one costs processor time.", between(10, 100, 10)},
	{"dynamic-hz", "Redis then looks for expired keys more often, but only while many clients are connected.", exactly("yes")},
	{"lazyfree-lazy-eviction", lazyWhy, exactly("yes")},
	{"lazyfree-lazy-expire", lazyWhy, exactly("yes")},
	{"lazyfree-lazy-server-del", lazyWhy, exactly("yes")},
	{"lazyfree-lazy-user-del", lazyWhy, exactly("yes")},
	{"slowlog-log-slower-than", "The slow log then keeps commands of more than 10 ms, which delay quotes visibly. 0 would keep all commands, a negative number none.", between(1, 10_000, 10_000)},
	{"slowlog-max-len", "A longer slow log keeps older entries through one bad minute.", atLeast(128, 256)},
	{"latency-monitor-threshold", "Redis then records what blocks every client for more than 100 ms: forks, the disk, expiry. 0 records nothing.", between(1, 100, 100)},
}

// Optimize returns advice on the settings that should change, the most important first. The list
// is empty and not nil if all settings are good. Optimize changes nothing. It leaves out servers
// of a cluster that do not answer. The error is ErrNotOffered if the server does not report its
// settings.
func (a *Admin) Optimize(ctx context.Context) ([]Advice, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	servers, err := a.servers(ctx)
	if err != nil {
		return nil, err
	}
	states, errs := make([]serverState, len(servers)), make([]error, len(servers))
	forEach(servers, func(i int, srv server) { states[i], errs[i] = a.state(ctx, srv) })
	if _, err := silentServers(servers, errs); err != nil {
		return nil, err
	}
	list := []Advice{}
	for i, srv := range servers {
		for _, r := range rules {
			if advice, ok := r.advise(states[i]); ok {
				advice.Node = srv.addr
				list = append(list, advice)
			}
		}
	}
	return list, nil
}

func (a *Admin) state(ctx context.Context, srv server) (serverState, error) {
	settings, err := srv.config(ctx, "*")
	if err != nil {
		return serverState{}, err
	}
	info, err := a.info(ctx, srv)
	return serverState{settings: settings, memory: info.Memory, kind: info.kind()}, err
}

func (r rule) advise(s serverState) (Advice, bool) {
	current, known := s.settings[r.setting]
	if !known {
		return Advice{}, false // the server has another version
	}
	want, why := r.wanted(current, s)
	if want == "" && why == "" {
		return Advice{}, false
	}
	how := applyOf(r.setting)
	if want == "" {
		how = ApplyByHand
	}
	if why == "" {
		why = r.why
	}
	return Advice{Setting: r.setting, Current: adviceValue(r.setting, current), Wanted: want, Why: s.kind.text(why), How: how}, true
}

// adviceValue returns a running value as Advice.Current shows it.
func adviceValue(setting, value string) string {
	if setting == "client-output-buffer-limit" {
		value = limitClasses(value, "pubsub 0 0 0")
	}
	return shown(setting, value)
}

func wantPolicy(current string, _ serverState) (want, why string) {
	const remedy = " volatile-ttl removes quotes and limiter windows first, which come back automatically."
	switch {
	case current == "volatile-ttl":
		return "", ""
	case EvictsSessions(current):
		return "volatile-ttl", "With " + printable(current, 40) + " a full server removes idle sessions, which are users who only watch." + remedy
	}
	return "volatile-ttl", "With " + printable(current, 40) + " a full server refuses all writes, and quotes stop." + remedy
}

// wantMaxMemory returns twice the peak, but at most three quarters of the machine's memory. A
// limit close to the peak would evict keys at once, so then the operator has to decide.
func wantMaxMemory(current string, s serverState) (want, why string) {
	const least = 256 << 20
	if current != "0" || s.memory == nil {
		return "", ""
	}
	peak, known := s.memory.PeakBytes.Get()
	if !known {
		return "", ""
	}
	wanted := max(least, 2*peak)
	if system, known := s.memory.SystemBytes.Get(); known && system > 0 {
		wanted = min(wanted, system/4*3)
		if wanted < peak+peak/4 {
			return "", fmt.Sprintf("%s Its peak of %s is close to the memory of the machine (%s). Use a larger machine, then set a limit.",
				maxmemoryWhy, bytes(peak), bytes(system))
		}
	}
	const unit = 1 << 20
	return confSize((wanted + unit - 1) / unit * unit), ""
}

func wantOutputLimit(current string, s serverState) (want, why string) {
	limit, ok := bufferLimitOf(current, "pubsub")
	if !ok {
		return "", ""
	}
	most := int64(256 << 20)
	if n, err := strconv.ParseInt(s.settings["maxmemory"], 10, 64); err == nil && n > 0 {
		most = max(32<<20, n/4)
	}
	if limit.hard > 0 && limit.hard <= most && limit.soft > 0 {
		return "", ""
	}
	return "pubsub 32mb 8mb 60", ""
}

func wantTimeout(current string, _ serverState) (want, why string) {
	n, err := strconv.ParseInt(current, 10, 64)
	if err != nil || n > 240 && n <= 3600 {
		return "", ""
	}
	return "300", ""
}

// wantEvents adds the missing events and keeps those that other programs may need.
func wantEvents(current string, _ serverState) (want, why string) {
	has := eventFlags(current)
	missing := ""
	for _, flag := range sessionEventsSet {
		if !strings.ContainsRune(has, flag) {
			missing += string(flag)
		}
	}
	if missing == "" {
		return "", ""
	}
	return current + missing, ""
}

func exactly(want string) func(string, serverState) (string, string) {
	return func(current string, _ serverState) (string, string) {
		if current == want {
			return "", ""
		}
		return want, ""
	}
}

func atLeast(least, want int64) func(string, serverState) (string, string) {
	return between(least, 1<<62, want)
}

func between(least, most, want int64) func(string, serverState) (string, string) {
	return func(current string, _ serverState) (string, string) {
		n, err := strconv.ParseInt(current, 10, 64)
		if err != nil || n >= least && n <= most {
			return "", ""
		}
		return strconv.FormatInt(want, 10), ""
	}
}
