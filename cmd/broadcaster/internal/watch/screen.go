package watch

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/fxcast/fxcast/client"
	"github.com/fxcast/fxcast/cmd/broadcaster/internal/cli"
)

const (
	drawEvery  = 200 * time.Millisecond
	maxRows    = 2000 // symbols that are kept
	maxColumns = 120
	ansiOpen   = "\x1b[?1049h\x1b[?25l\x1b[2J" // alternate screen, no cursor
	ansiClose  = "\x1b[?25h\x1b[?1049l"
	ansiHome   = "\x1b[H"
	ansiRest   = "\x1b[K" // clears to the end of the line
	ansiBelow  = "\x1b[J"
)

// A screen is a table of symbols on a terminal, redrawn in place. At the end it restores the terminal
// and prints the table as text.
type screen struct {
	w     io.Writer
	where string
	size  func() (width, height int)
	stop  chan struct{}
	done  chan struct{}

	mu     sync.Mutex // guards what follows
	rows   map[string]*row
	now    client.State
	reason string // of the last trouble
	failed error  // of a write
}

// A row is one symbol.
type row struct {
	quote  client.Quote
	status string
	count  uint64
}

func newScreen(w io.Writer, where string, size func() (int, int)) *screen {
	s := &screen{w: w, where: where, size: size, stop: make(chan struct{}), done: make(chan struct{}), rows: map[string]*row{}}
	go s.draw()
	return s
}

// draw redraws until the end.
func (s *screen) draw() {
	defer close(s.done)
	s.write(ansiOpen)
	tick := time.NewTicker(drawEvery)
	defer tick.Stop()
	for {
		width, height := s.size()
		s.write(ansiHome + strings.Join(s.lines(width, height-1), ansiRest+"\r\n") + ansiRest + ansiBelow)
		select {
		case <-tick.C:
		case <-s.stop:
			width, _ := s.size()
			s.write(ansiClose + strings.Join(s.lines(width, maxRows), "\n") + "\n")
			return
		}
	}
}

func (s *screen) write(text string) {
	if _, err := io.WriteString(s.w, text); err != nil {
		s.mu.Lock()
		s.failed = err
		s.mu.Unlock()
	}
}

// lines returns a frame of at most width columns and height lines.
func (s *screen) lines(width, height int) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	lines := []string{fmt.Sprintf("%s  %s  Ctrl-C ends", s.where, s.now)}
	if s.reason != "" {
		lines = append(lines, "! "+s.reason)
	}
	lines = append(lines, "", fmt.Sprintf("%-12s %14s %14s %10s  %-13s %s", "SYMBOL", "BID", "ASK", "QUOTES", "TIME UTC", "STATUS"))
	for _, symbol := range slices.Sorted(maps.Keys(s.rows)) {
		r := s.rows[symbol]
		lines = append(lines, fmt.Sprintf("%-12s %14s %14s %10d  %-13s %s", symbol, r.quote.Bid, r.quote.Ask, r.count, r.quote.Time.UTC().Format("15:04:05.000"), r.status))
	}
	if height = max(height, 1); len(lines) > height {
		hidden := len(lines) - height + 1
		lines = append(lines[:height-1], fmt.Sprintf("and %d more", hidden))
	}
	for i, line := range lines {
		line = strings.TrimRight(cli.Printable(line), " ")
		if utf8.RuneCountInString(line) > min(width, maxColumns) {
			line = string([]rune(line)[:min(width, maxColumns)])
		}
		lines[i] = line
	}
	return lines
}

func (s *screen) quote(q client.Quote) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.rows[q.Symbol]
	if r == nil {
		if len(s.rows) >= maxRows {
			return s.failed
		}
		r = &row{}
		s.rows[q.Symbol] = r
	}
	r.quote, r.status = q, q.Status
	if r.status == "" {
		r.status = "live"
	}
	r.count += 1 + q.Skipped
	return s.failed
}

func (s *screen) state(state client.State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = state
	if state == client.Live {
		s.reason = ""
	}
}

func (s *screen) status(status client.Status) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.rows[status.Symbol]; r != nil {
		r.status = status.Status
	}
}

func (s *screen) trouble(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reason = troubleText(err)
}

func (s *screen) slow() bool { return true }

func (s *screen) end() {
	close(s.stop)
	<-s.done
}
