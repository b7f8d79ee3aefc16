package redistest

import (
	"bytes"
	"strings"
	"sync"
)

// A Log keeps what goroutines write, for tests that read it meanwhile. The zero Log is empty. It is
// safe for concurrent use.
type Log struct {
	mu sync.Mutex
	b  bytes.Buffer // guarded by mu
}

// Write implements io.Writer.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// Reset forgets what was written.
func (l *Log) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b.Reset()
}

// String returns what was written since the last Reset.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Lines returns the lines that contain a text.
func (l *Log) Lines(with string) (found string) {
	for line := range strings.Lines(l.String()) {
		if strings.Contains(line, with) {
			found += line
		}
	}
	return found
}
