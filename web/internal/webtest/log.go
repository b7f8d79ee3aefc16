package webtest

import (
	"bytes"
	"strings"
	"sync"
)

// A Log keeps what a node logs, for tests of secrets and panics.
type Log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// Reset forgets what was logged.
func (l *Log) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b.Reset()
}

func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Lines returns the lines of a text that contain something.
func Lines(text, with string) (found string) {
	for l := range strings.Lines(text) {
		if strings.Contains(l, with) {
			found += l
		}
	}
	return found
}
