package producer

import (
	"fmt"
	"io"
	"sync"

	"golang.org/x/term"
)

// console writes messages and, on a terminal, one line of progress that it
// rewrites. It is safe for concurrent use.
type console struct {
	terminal bool

	mu    sync.Mutex // guards the fields below
	w     io.Writer
	shown bool // a progress line stands at the cursor
}

func newConsole(w io.Writer) *console {
	f, ok := w.(interface{ Fd() uintptr })
	return &console{w: w, terminal: ok && term.IsTerminal(int(f.Fd()))}
}

const clearLine = "\r\x1b[K"

func (c *console) say(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clearLocked()
	fmt.Fprintf(c.w, format+"\n", args...)
}

func (c *console) progress(text string) {
	if !c.terminal {
		c.say("%s", text)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clearLocked()
	fmt.Fprint(c.w, text)
	c.shown = true
}

func (c *console) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clearLocked()
}

func (c *console) clearLocked() {
	if c.shown {
		fmt.Fprint(c.w, clearLine)
		c.shown = false
	}
}
