package redisadmin

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

func (s seen) checkPersistence() Check {
	p := s.info.Persistence
	if p == nil {
		return none(CheckPersistence)
	}
	c := Check{Name: CheckPersistence, Result: OK, Limit: "last write ok"}
	aof := p.AOFEnabled != nil && *p.AOFEnabled
	save, told := s.settings["save"]
	switch {
	case aof:
		c.Value = "append-only file, last write " + Text(p.AOFLastWriteStatus.String())
	case told && save == "":
		c.Value = "off"
	default:
		c.Value = "snapshots, last one " + Text(p.LastSaveStatus.String())
	}
	switch {
	case p.Loading != nil && *p.Loading:
		c.Result, c.Why, c.Do = Fail, "the data is still read from disk", "wait"
	case aof && p.AOFLastWriteStatus == "err":
		c.Result, c.Why = Fail, "the append-only file cannot be written: writes are refused, or lost in a crash"
		c.Do = "make room on the disk and see the server's log"
	case p.LastSaveStatus == "err" && s.settings["stop-writes-on-bgsave-error"] == "yes" && save != "":
		c.Result, c.Why = Fail, "the last snapshot failed, and writes are refused until one succeeds (stop-writes-on-bgsave-error)"
		c.Do = "make room on the disk and see the server's log; BGSAVE tries again"
	case p.LastSaveStatus == "err":
		c.Result, c.Why = Warn, "the last snapshot failed: a restart would bring old data back, or writes are refused until one succeeds"
		c.Do = "make room on the disk and see the server's log; BGSAVE tries again"
	case aof && p.AOFLastRewriteStatus == "err":
		c.Result, c.Why = Warn, "the append-only file could not be rewritten and keeps growing"
		c.Do = "make room on the disk and see the server's log; BGREWRITEAOF tries again"
	case s.growth.delayedFsyncs.Or(0) > 0:
		c.Result, c.Why = Warn, fmt.Sprintf("the disk is too slow: %s writes waited for it in the last %s", s.growth.delayedFsyncs, short(s.growth.over))
		c.Do = "use a faster disk, or appendfsync everysec with no-appendfsync-on-rewrite yes"
	case c.Value == "off":
		c.Why = "a restart loses sessions; quotes come back by themselves"
	}
	if c.Result != OK && c.Value == "off" {
		c.Value = "snapshots by hand, last one " + Text(p.LastSaveStatus.String())
	}
	return c
}

func (s seen) checkAOFRewrite() Check {
	p := s.info.Persistence
	if p == nil || p.AOFRewriteInProgress == nil {
		return none(CheckAOFRewrite)
	}
	c := Check{Name: CheckAOFRewrite, Result: OK, Value: "none", Limit: Text(fmt.Sprintf("%d s", rewriteWarn))}
	if !*p.AOFRewriteInProgress {
		return c
	}
	took := p.AOFRewriteRunningSeconds.Or(0)
	c.Value, c.Why = Text(fmt.Sprintf("running for %d s", took)), "the append-only file is being rewritten: more memory and disk are used, and answers may be slower"
	if took >= rewriteWarn {
		c.Result, c.Do = Warn, "see the disk; auto-aof-rewrite-min-size and -percentage say how often it happens"
	}
	return c
}

func (s seen) checkOutputBuffers() Check {
	if s.pubsubOf != nil {
		c := none(CheckOutputBuffers)
		c.Why = why(s.pubsubOf)
		return c
	}
	c := Check{Name: CheckOutputBuffers, Result: OK, Value: "no subscriber"}
	var worst Client
	for _, cl := range s.pubsub {
		if !worst.OutputBufferBytes.known || cl.OutputBufferBytes.Or(0) > worst.OutputBufferBytes.n {
			worst = cl
		}
	}
	used := worst.OutputBufferBytes.Or(0)
	if len(s.pubsub) > 0 {
		c.Value = Text(fmt.Sprintf("%s waiting for the slowest of %d subscribers", bytes(used), len(s.pubsub)))
	}
	limit, ok := bufferLimitOf(s.settings["client-output-buffer-limit"], "pubsub")
	if ok {
		c.Limit = Text(limit.String())
	}
	cut := ""
	switch {
	case ok && limit.soft > 0 && used >= limit.soft:
		cut = fmt.Sprintf("%s is behind, and is cut off if that lasts %s", worst.title(), short(limit.over))
	case ok && limit.hard > 0 && float64(used) >= bufferWarn*float64(limit.hard):
		cut = fmt.Sprintf("%s is behind, and is about to be cut off", worst.title())
	}
	dropped := s.growth.outputLimit.Or(0) + s.growth.evictedClients.Or(0)
	switch {
	case cut != "":
		c.Result, c.Why = Warn, cut
	case dropped > 0:
		c.Result, c.Why = Warn, fmt.Sprintf("%d connections were cut off in the last %s because they did not read", dropped, short(s.growth.over))
	}
	if c.Result != OK {
		c.Do = "see why that program reads too slowly (processor, network); a subscriber that was cut off misses quotes until it is back"
	}
	return c
}

// bufferLimit is client-output-buffer-limit of a class; 0 = no limit.
type bufferLimit struct {
	hard, soft int64
	over       time.Duration // how long soft may be exceeded
}

func (l bufferLimit) String() string {
	if l.hard == 0 && l.soft == 0 {
		return "no limit"
	}
	var parts []string
	if l.hard > 0 {
		parts = append(parts, bytes(l.hard))
	}
	if l.soft > 0 {
		parts = append(parts, fmt.Sprintf("%s for %s", bytes(l.soft), short(l.over)))
	}
	return strings.Join(parts, ", ")
}

// bufferLimitOf reads "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60".
func bufferLimitOf(setting, class string) (bufferLimit, bool) {
	f := strings.Fields(setting)
	for ; len(f) >= 4; f = f[4:] {
		if f[0] != class {
			continue
		}
		hard, err1 := strconv.ParseInt(f[1], 10, 64)
		soft, err2 := strconv.ParseInt(f[2], 10, 64)
		over, err3 := strconv.ParseInt(f[3], 10, 32)
		ok := err1 == nil && err2 == nil && err3 == nil && hard >= 0 && soft >= 0 && over >= 0
		return bufferLimit{hard: hard, soft: soft, over: time.Duration(over) * time.Second}, ok
	}
	return bufferLimit{}, false
}

// bytes writes a size for a person: "214.3 MiB".
func bytes(n int64) string {
	const units = "KMGTPE"
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	x, unit := float64(n), -1
	for x >= 1023.95 && unit < len(units)-1 {
		x /= 1024
		unit++
	}
	return fmt.Sprintf("%.1f %ciB", x, units[unit])
}

// short writes a duration for a person, with three digits: "1.23ms".
func short(d time.Duration) string {
	for _, unit := range []time.Duration{time.Hour, time.Minute, time.Second, time.Millisecond, time.Microsecond} {
		if d >= unit {
			return d.Round(unit / 100).String()
		}
	}
	return d.String()
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
