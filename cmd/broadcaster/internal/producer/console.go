package producer

import (
	"fmt"
	"io"
	"strings"
	"sync"

	"golang.org/x/term"
)

// console writes messages and, on a terminal, one line of progress that it
// rewrites. It is safe for concurrent use.
type console struct {
	terminal bool
	width    func() int // of the terminal; 0 = unknown

	mu    sync.Mutex // guards the fields below
	w     io.Writer
	shown bool // the cursor is on a progress line
}

func newConsole(w io.Writer) *console {
	f, ok := w.(interface{ Fd() uintptr })
	return &console{w: w, terminal: ok && term.IsTerminal(int(f.Fd())), width: func() int {
		if !ok {
			return 0
		}
		width, _, err := term.GetSize(int(f.Fd()))
		if err != nil {
			return 0
		}
		return width
	}}
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
	if width := c.width(); width > 0 && len(text) >= width {
		text = strings.ToValidUTF8(text[:width-1], "") // a line that wraps could not be rewritten
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
