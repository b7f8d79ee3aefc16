package redisadmin

import (
	"fmt"
	"strings"
	"time"
)

// notAvailable is shown for a value that the server does not report.
const notAvailable = "not available here"

const maxReason = 160 // bytes of another program's text in an error

// printable cuts a text of another program to n bytes and replaces characters that could move a
// terminal's cursor.
func printable(s string, n int) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}

// bytes formats a size for a person: "214.3 MiB".
func bytes(n int64) string {
	const units = "KMGTPE"
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	x, unit := float64(n), -1
	for x >= 1023.95 && unit < len(units)-1 {
		x /= 1024
		unit++
	}
	return fmt.Sprintf("%.1f %ciB", x, units[unit])
}

// short formats a duration for a person, with three digits: "1.23ms".
func short(d time.Duration) string {
	for _, unit := range []time.Duration{
		time.Hour, time.Minute, time.Second, time.Millisecond, time.Microsecond,
	} {
		if d >= unit {
			return d.Round(unit / 100).String()
		}
	}
	return d.String()
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
