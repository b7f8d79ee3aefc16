package redisadmin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Advice is one setting that Optimise would change.
type Advice struct {
	Setting string `json:"setting"`
	Current string `json:"current"`
	Wanted  string `json:"wanted"` // empty: see Why; somebody has to decide
	Why     string `json:"why"`
	How     string `json:"how"` // ApplyLive, ApplyRestart or ApplyByHand
	Node    string `json:"node,omitempty"`
}

// Applied is what became of one Advice.
type Applied struct {
	Advice
	Done  bool   `json:"done"`
	Fault string `json:"fault,omitempty"` // why it was not done
	// Keep is what has to be done so that the next start keeps it.
	Keep string `json:"keep,omitempty"`
}

// aim is what this program wants of one setting: wanted returns "" if current
// is good, and may name a reason of its own.
type aim struct {
	setting string
	why     string
	wanted  func(current string, s serverState) (want, why string)
}

// serverState is what an aim may look at besides the setting.
type serverState struct {
	settings map[string]string
	memory   *MemoryInfo // nil = not told
}

const lazyWhy = "Evicted, expired, replaced and deleted values are freed in the background: a large one does not make everybody wait."

// aims are in the order in which they are shown: the most important first.
var aims = []aim{
	{"maxmemory-policy", "When memory is full, volatile-ttl evicts what would expire soonest: quotes and limiter windows, which come back by themselves.", wantPolicy},
	{"maxmemory", "Without a limit Redis grows until the system ends it, and all sessions with it.", wantMaxMemory},
	{"maxmemory-samples", "With fewer samples eviction takes keys that others should go before.", atLeast(5, 5)},
	{"appendonly", "Without the append-only file a crash loses the sessions, or brings back those that were revoked since the last snapshot. Costs disk space.", exactly("yes")},
	{"appendfsync", "everysec loses at most a second. always makes every quote wait for the disk; no leaves it to the system.", exactly("everysec")},
	{"client-output-buffer-limit", "A subscriber that does not read takes the memory of all others until it is cut off.", wantOutputLimit},
	{"timeout", "Closes connections whose other side is gone. The pool gives its own up after 240 s, so it must be more than that.", wantTimeout},
	{"tcp-keepalive", "Finds out within a minute that a subscriber has vanished, and frees its buffer.", between(1, 60, 60)},
	{"notify-keyspace-events", "The sockets of a session that expires, or that another program deletes, then close at once instead of within 5 s (E by key, x expired, g deleted).", wantEvents},
	{"hz", "Expired quotes and windows are looked for this often: more seldom they stay in memory, more often it takes processor time.", between(10, 100, 10)},
	{"dynamic-hz", "Looks more often while many clients are connected, and only then.", exactly("yes")},
	{"lazyfree-lazy-eviction", lazyWhy, exactly("yes")},
	{"lazyfree-lazy-expire", lazyWhy, exactly("yes")},
	{"lazyfree-lazy-server-del", lazyWhy, exactly("yes")},
	{"lazyfree-lazy-user-del", lazyWhy, exactly("yes")},
	{"slowlog-log-slower-than", "Keeps commands of more than 10 ms, which is when quotes are visibly late. 0 would keep all, a negative number none.", between(1, 10_000, 10_000)},
	{"slowlog-max-len", "So that one bad minute does not push out the rest.", atLeast(128, 256)},
	{"latency-monitor-threshold", "Keeps what made everybody wait for more than 100 ms: forks, disks, expiry. 0 keeps nothing.", between(1, 100, 100)},
}

// Optimise returns the settings that would be better otherwise, the most
// important first; none is empty and not nil. It changes nothing. A cluster's
// nodes that do not answer are left out. The error is ErrNotOffered where the
// server does not tell its settings.
func (a *Admin) Optimise(ctx context.Context) ([]Advice, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	nodes, err := a.nodes(ctx)
	if err != nil {
		return nil, err
	}
	states, faults := make([]serverState, len(nodes)), make([]error, len(nodes))
	each(nodes, func(i int, n node) { states[i], faults[i] = a.state(ctx, n) })
	if _, err := silent(nodes, faults); err != nil {
		return nil, err
	}
	list := []Advice{}
	for i, n := range nodes {
		for _, aim := range aims {
			if advice, ok := aim.advise(states[i]); ok {
				advice.Node = n.addr
				list = append(list, advice)
			}
		}
	}
	return list, nil
}

func (a *Admin) state(ctx context.Context, n node) (serverState, error) {
	settings, err := n.config(ctx, "*")
	if err != nil {
		return serverState{}, err
	}
	info, err := a.info(ctx, n)
	return serverState{settings: settings, memory: info.Memory}, err
}

func (m aim) advise(s serverState) (Advice, bool) {
	current, known := s.settings[m.setting]
	if !known {
		return Advice{}, false // of another version
	}
	want, why := m.wanted(current, s)
	if want == "" && why == "" {
		return Advice{}, false
	}
	how := applyOf(m.setting)
	if want == "" {
		how = ApplyByHand
	}
	if m.setting == "client-output-buffer-limit" {
		current = limitClasses(current, "pubsub 0 0 0")
	}
	if why == "" {
		why = m.why
	}
	return Advice{Setting: m.setting, Current: shown(m.setting, current), Wanted: want, Why: why, How: how}, true
}

func wantPolicy(current string, _ serverState) (want, why string) {
	switch {
	case current == "volatile-ttl":
		return "", ""
	case EvictsSessions(current):
		return "volatile-ttl", "With " + plain(current, 40) + " a full server removes idle sessions, that is users who sit and watch. volatile-ttl removes quotes and limiter windows first, which come back by themselves."
	}
	return "volatile-ttl", "With " + plain(current, 40) + " a full server refuses all writes, and quotes stop. volatile-ttl removes quotes and limiter windows first, which come back by themselves."
}

// wantMaxMemory leaves room for twice what was ever used, within three quarters
// of the machine: a limit below what is in use would evict at once.
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
			return "", fmt.Sprintf("Without a limit Redis grows until the system ends it. It has used %s, which is near what the machine has (%s): give it a larger one, then a limit.", bytes(peak), bytes(system))
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

// wantEvents adds to the events that others may need.
func wantEvents(current string, _ serverState) (want, why string) {
	has := eventFlags(current)
	missing := ""
	for _, flag := range "Exg" {
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

// Apply makes the changes that CONFIG SET can make, each by itself and in this
// order, and returns what became of each. One whose setting was changed since
// the Advice was given is left alone. It never writes the server's file: Keep
// says what a restart would undo. The error is that of a server that is gone;
// the list then ends before it.
func (a *Admin) Apply(ctx context.Context, advices []Advice) ([]Applied, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*callTimeout)
	defer cancel()
	nodes, err := a.nodes(ctx)
	if err != nil {
		return nil, err
	}
	files := map[string]string{}
	done := []Applied{}
	for _, advice := range advices {
		i := slices.IndexFunc(nodes, func(n node) bool { return n.addr == advice.Node })
		result := Applied{Advice: advice}
		switch {
		case i < 0:
			result.Fault = "this node is no longer part of the cluster"
		case advice.How == ApplyRestart:
			result.Fault = "needs a restart: set it in redis.conf"
		case advice.How != ApplyLive || advice.Wanted == "":
			result.Fault = "somebody has to decide"
		default:
			if _, asked := files[advice.Node]; !asked {
				info, err := a.info(ctx, nodes[i])
				if err != nil {
					return done, err
				}
				files[advice.Node] = ""
				if info.Server != nil {
					files[advice.Node] = string(info.Server.ConfigFile)
				}
			}
			result.Fault, err = nodes[i].apply(ctx, advice)
			if err != nil {
				return done, err
			}
			result.Done = result.Fault == ""
		}
		if result.Done {
			result.Keep = "set it in redis.conf too: the server was started without a file, and a restart undoes it"
			if files[advice.Node] != "" {
				result.Keep = "CONFIG REWRITE, or set it in redis.conf: a restart undoes it otherwise"
			}
		}
		done = append(done, result)
	}
	return done, nil
}

// apply changes one setting. fault is why the server keeps the old value.
func (n node) apply(ctx context.Context, advice Advice) (fault string, err error) {
	now, err := n.config(ctx, advice.Setting)
	if err == nil {
		current := now[advice.Setting]
		if advice.Setting == "client-output-buffer-limit" {
			current = limitClasses(current, "pubsub 0 0 0")
		}
		if shown(advice.Setting, current) != advice.Current {
			return "it was changed meanwhile, to " + shown(advice.Setting, current), nil
		}
		err = ask(ctx, "config set "+advice.Setting, n.client.ConfigSet(ctx, advice.Setting, advice.Wanted).Err())
	}
	if errors.Is(err, ErrNotOffered) {
		return why(err), nil
	}
	return "", err
}
