package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// Version of the program, as the build recorded it.
type Version struct {
	Version string // module version, "(devel)" for a build from a working tree
	Commit  string // "unknown" where the build had no repository
	Dirty   bool   // there were uncommitted changes
	Go      string
}

func buildVersion() Version {
	v := Version{Version: "(devel)", Commit: "unknown", Go: runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if info.Main.Version != "" {
		v.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Commit = s.Value
		case "vcs.modified":
			v.Dirty = s.Value == "true"
		}
	}
	return v
}

func (v Version) String() string {
	commit := v.Commit
	if v.Dirty {
		commit += " (modified)"
	}
	return fmt.Sprintf("broadcaster %s, commit %s, %s %s/%s", v.Version, commit, v.Go, runtime.GOOS, runtime.GOARCH)
}
