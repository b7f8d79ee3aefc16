package redisadmin

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Info is the part of INFO that is used, typed. A section that was not in the
// text is nil.
type Info struct {
	Server      *ServerInfo
	Memory      *MemoryInfo
	Replication *ReplicationInfo
}

// ServerInfo is the section "server".
type ServerInfo struct {
	Name    string // "redis", or what a fork calls itself ("valkey")
	Version string // of the fork if it is one; "7.0.15"
	RunID   string // changes with every start of the process
	Mode    string // standalone, sentinel or cluster
	Uptime  time.Duration
}

// MemoryInfo is the section "memory".
type MemoryInfo struct {
	UsedBytes    int64
	PeakBytes    int64
	MaxBytes     int64  // 0 = no limit
	Policy       string // maxmemory-policy
	LuaUsedBytes int64  // of the script engine
}

// ReplicationInfo is the section "replication".
type ReplicationInfo struct {
	Role         string // master or slave
	Replicas     int64  // connected ones, of a master
	MasterLinkUp bool   // of a replica
}

// ParseInfo reads the text of INFO, of Redis 6.2 and later and of its forks.
// Unknown lines are ignored; a known field with a value that cannot be is an
// error that names it.
func ParseInfo(text string) (Info, error) {
	fields := map[string]map[string]string{}
	section := ""
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.TrimRight(line, "\r")
		if name, ok := strings.CutPrefix(line, "#"); ok {
			section = strings.ToLower(strings.TrimSpace(name))
			if fields[section] == nil {
				fields[section] = map[string]string{}
			}
			continue
		}
		if name, value, ok := strings.Cut(line, ":"); ok && section != "" {
			fields[section][name] = value
		}
	}
	var info Info
	var p numbers
	if f := fields["server"]; len(f) > 0 {
		s := &ServerInfo{Name: "redis", Version: f["redis_version"], RunID: f["run_id"], Mode: f["redis_mode"]}
		if name := f["server_name"]; name != "" {
			s.Name = name
		}
		if v := f[s.Name+"_version"]; v != "" {
			s.Version = v
		}
		if s.Mode == "" {
			s.Mode = f["server_mode"]
		}
		s.Uptime = time.Duration(min(p.bytes(f, "uptime_in_seconds"), 1<<33)) * time.Second
		info.Server = s
	}
	if f := fields["memory"]; len(f) > 0 {
		info.Memory = &MemoryInfo{
			UsedBytes: p.bytes(f, "used_memory"),
			PeakBytes: p.bytes(f, "used_memory_peak"),
			MaxBytes:  p.bytes(f, "maxmemory"),
			Policy:    f["maxmemory_policy"],
			// 7.0 renamed the first to the second.
			LuaUsedBytes: max(p.bytes(f, "used_memory_lua"), p.bytes(f, "used_memory_vm_eval")),
		}
	}
	if f := fields["replication"]; len(f) > 0 {
		info.Replication = &ReplicationInfo{
			Role:         f["role"],
			Replicas:     p.bytes(f, "connected_slaves"),
			MasterLinkUp: f["master_link_status"] == "up",
		}
	}
	return info, p.err
}

// merge takes the sections that part has and reports whether there were any.
func (i *Info) merge(part Info) bool {
	if part.Server != nil {
		i.Server = part.Server
	}
	if part.Memory != nil {
		i.Memory = part.Memory
	}
	if part.Replication != nil {
		i.Replication = part.Replication
	}
	return part != Info{}
}

// numbers reads counts and keeps the first error.
type numbers struct{ err error }

// bytes reads a count that cannot be negative; a missing one is 0.
func (p *numbers) bytes(f map[string]string, name string) int64 {
	text, ok := f[name]
	if !ok {
		return 0
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		if p.err == nil {
			p.err = fmt.Errorf("redisadmin: info: %s is %.40q, want a whole number", name, text)
		}
		return 0
	}
	return n
}
