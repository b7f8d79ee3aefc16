package monitor

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/fxcast/fxcast/redisadmin"
)

// TestScreen draws on terminals of several sizes: no line too wide, no frame
// too high, and the terminal as it was at the end.
func TestScreen(t *testing.T) {
	for _, size := range [][2]int{{40, 10}, {80, 24}, {80, 50}, {200, 60}} {
		var b bytes.Buffer
		s := newScreen(&b, "127.0.0.1:6379", request{seconds: 10, commands: true}, func() (int, int) { return size[0], size[1] })
		var slow []redisadmin.SlowEntry
		var rates []redisadmin.CommandRate
		for i := range 30 {
			slow = append(slow, redisadmin.SlowEntry{ID: int64(i), Micros: int64(1000 * i), Command: strings.Repeat("KEYS ", 30), Client: "\x1b[2J[::1]:12345678901234567890"})
			rates = append(rates, redisadmin.CommandRate{Name: fmt.Sprintf("command%d", i), PerSecond: 1e9, Calls: 1})
		}
		for i := range 100 {
			s.sample(redisadmin.Sample{Commands: rates, Slow: slow, OpsPerSecond: new(float64(i) * 1e6), Touched: &redisadmin.Touched{
				Prefixes: []redisadmin.PrefixRate{{Prefix: strings.Repeat("p", 300), PerSecond: 3}}, Latest: []redisadmin.Command{{Command: strings.Repeat("x", 300)}}, Dropped: 5}})
		}
		s.fault(time.Now(), strings.Repeat("Redis is not available ", 10))
		for frame := range strings.SplitSeq(b.String(), ansiHome) {
			lines := strings.Split(strings.TrimPrefix(frame, ansiOpen), "\r\n")
			if len(lines) > size[1] {
				t.Errorf("%v: %d lines", size, len(lines))
			}
			for _, line := range lines {
				for _, code := range []string{ansiRest, ansiBelow, ansiTitle, ansiBold, ansiPlain} {
					line = strings.ReplaceAll(line, code, "")
				}
				if utf8.RuneCountInString(line) > size[0] || strings.ContainsRune(line, 0x1b) {
					t.Errorf("%v: %q", size, line)
				}
			}
		}
		b.Reset()
		s.end()
		if text := b.String(); !strings.HasPrefix(text, ansiClose) || strings.ContainsRune(text[len(ansiClose):], 0x1b) || !strings.Contains(text, "SLOWEST") {
			t.Errorf("%v: the end: %q", size, text)
		}
	}
}
