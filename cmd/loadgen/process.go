package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// A process reads its values from /proc; without a pid all of them are 0.
type process struct{ pid int }

// cpu returns user and system time so far in seconds, in steps of 10 ms.
func (p process) cpu() float64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+2:])) // the name may contain spaces
	user, _ := strconv.ParseFloat(fields[11], 64)
	system, _ := strconv.ParseFloat(fields[12], 64)
	return (user + system) / 100
}

// rss returns the resident memory in bytes.
func (p process) rss() int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(b))
	pages, _ := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize())
}
