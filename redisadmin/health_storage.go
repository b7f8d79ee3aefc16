package redisadmin

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/fxcast/fxcast/internal/redislink"
)

const (
	rewriteWarn = 60  // seconds that a rewrite of the append-only file takes
	bufferWarn  = 0.8 // of client-output-buffer-limit
)

func (o observation) checkPersistence() Check {
	p := o.info.Persistence
	if p == nil {
		return unknown(CheckPersistence)
	}
	c := Check{Name: CheckPersistence, Result: OK, Limit: "last write ok"}
	aof := p.AOFEnabled != nil && *p.AOFEnabled
	save, saveKnown := o.settings["save"]
	switch {
	case aof:
		c.Value = "append-only file, last write " + Text(p.AOFLastWriteStatus.String())
	case saveKnown && save == "":
		c.Value = "off"
	default:
		c.Value = "snapshots, last one " + Text(p.LastSaveStatus.String())
	}
	switch {
	case p.Loading != nil && *p.Loading:
		c.Result, c.Why, c.Do = Fail, "the data is still being read from disk", "wait"
	case aof && p.AOFLastWriteStatus == "err":
		c.Result, c.Why = Fail, "the append-only file cannot be written: writes are refused (MISCONF), or a crash loses them"
		c.Do = "free disk space, and read the server's log"
	case redislink.Code(o.refusal) == "MISCONF":
		c.Result, c.Why = Fail, "the disk cannot be written, and writes are refused (MISCONF)"
		c.Do = "free disk space, and read the server's log; BGSAVE tries again"
	case p.LastSaveStatus == "err" && o.settings["stop-writes-on-bgsave-error"] == "yes" && save != "":
		c.Result, c.Why = Fail, "the last snapshot failed, and writes are refused until one succeeds (MISCONF, stop-writes-on-bgsave-error)"
		c.Do = "free disk space, and read the server's log; BGSAVE tries again"
	case p.LastSaveStatus == "err":
		c.Result, c.Why = Warn, "the last snapshot failed: a restart would bring old data back, or writes are refused until one succeeds"
		c.Do = "free disk space, and read the server's log; BGSAVE tries again"
	case aof && p.AOFLastRewriteStatus == "err":
		c.Result, c.Why = Warn, "the append-only file could not be rewritten and keeps growing"
		c.Do = "free disk space, and read the server's log; BGREWRITEAOF tries again"
	case o.growth.delayedFsyncs.Or(0) > 0:
		c.Result, c.Why = Warn, fmt.Sprintf("the disk is too slow: %s writes waited for it in the last %s",
			o.growth.delayedFsyncs, short(o.growth.over))
		c.Do = "use a faster disk, or appendfsync everysec with no-appendfsync-on-rewrite yes"
	case c.Value == "off":
		c.Why = "a restart loses sessions; quotes come back automatically"
	}
	if c.Result != OK && c.Value == "off" {
		c.Value = "manual snapshots, last one " + Text(p.LastSaveStatus.String())
	}
	return c
}

func (o observation) checkAOFRewrite() Check {
	p := o.info.Persistence
	if p == nil || p.AOFRewriteInProgress == nil {
		return unknown(CheckAOFRewrite)
	}
	c := Check{Name: CheckAOFRewrite, Result: OK, Value: "none", Limit: Text(fmt.Sprintf("%d s", rewriteWarn))}
	if !*p.AOFRewriteInProgress {
		return c
	}
	took := p.AOFRewriteRunningSeconds.Or(0)
	c.Value = Text(fmt.Sprintf("running for %d s", took))
	c.Why = "the append-only file is being rewritten, which uses memory and disk space and may slow replies down"
	if took >= rewriteWarn {
		c.Result = Warn
		c.Do = "check the disk; auto-aof-rewrite-min-size and auto-aof-rewrite-percentage set how often a rewrite happens"
	}
	return c
}

func (o observation) checkOutputBuffers() Check {
	if o.noSubscribers != nil {
		c := unknown(CheckOutputBuffers)
		c.Why = reasonOf(o.noSubscribers)
		return c
	}
	c := Check{Name: CheckOutputBuffers, Result: OK, Value: "no subscriber"}
	var worst Client
	for _, cl := range o.subscribers {
		if !worst.OutputBufferBytes.known || cl.OutputBufferBytes.Or(0) > worst.OutputBufferBytes.n {
			worst = cl
		}
	}
	used := worst.OutputBufferBytes.Or(0)
	if n := len(o.subscribers); n > 0 {
		c.Value = Text(fmt.Sprintf("%s waiting for the slowest of %s", bytes(used), plural(int64(n), "subscriber")))
	}
	limit, ok := bufferLimitOf(o.settings["client-output-buffer-limit"], "pubsub")
	if ok {
		c.Limit = Text(limit.String())
	}
	behind := ""
	switch {
	case ok && limit.soft > 0 && used >= limit.soft:
		behind = fmt.Sprintf("%s is behind, and is disconnected if it stays so for %s", worst.title(), short(limit.over))
	case ok && limit.hard > 0 && float64(used) >= bufferWarn*float64(limit.hard):
		behind = fmt.Sprintf("%s is behind, and is about to be disconnected", worst.title())
	}
	disconnected := o.growth.outputLimit.Or(0) + o.growth.evictedClients.Or(0)
	switch {
	case behind != "":
		c.Result, c.Why = Warn, behind
	case disconnected > 0:
		c.Result, c.Why = Warn, fmt.Sprintf("%s disconnected in the last %s for not reading",
			plural(disconnected, "client"), short(o.growth.over))
	}
	if c.Result != OK {
		c.Do = "find out why that program reads too slowly (processor, network); " +
			"a disconnected subscriber misses quotes until it reconnects"
	}
	return c
}

// bufferLimit is client-output-buffer-limit of one class of clients; 0 = no limit.
type bufferLimit struct {
	hard, soft int64
	over       time.Duration // how long a client may exceed soft
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

// bufferLimitOf parses "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60" and
// returns the limit of one class.
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
