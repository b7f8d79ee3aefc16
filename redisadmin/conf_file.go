package redisadmin

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
)

const (
	maxConfBytes = 1 << 20  // of a configuration file
	maxConfLine  = 64 << 10 // bytes of one line
)

// ConfFile is a redis.conf as the server reads it: the arguments of each directive, by lower-case
// name. A repeated directive replaces the earlier one, unless its lines add up.
type ConfFile struct {
	Values   map[string][]string
	Includes []string // files that it names; they are on the server's machine and are not read
	Added    []string // names of directives whose running value the server does not report: user, loadmodule
}

// confAdded are directives whose lines add up and that CONFIG GET does not report.
var confAdded = []string{"user", "loadmodule", "rename-command", "sentinel"}

// ReadConfFile parses a file of at most 1 MiB. The error gives the number of the line that it
// cannot parse, and never its text.
func ReadConfFile(path string) (ConfFile, error) {
	f, err := os.Open(path)
	if err != nil {
		return ConfFile{}, err
	}
	defer f.Close()
	return ParseConf(f)
}

// ParseConf parses the text of a redis.conf.
func ParseConf(r io.Reader) (ConfFile, error) {
	c := ConfFile{Values: map[string][]string{}}
	limited := &io.LimitedReader{R: r, N: maxConfBytes + 1}
	lines := bufio.NewScanner(limited)
	lines.Buffer(nil, maxConfLine)
	for number := 1; lines.Scan(); number++ {
		text := strings.Trim(lines.Text(), " \t\r\n")
		if text == "" || text[0] == '#' {
			continue
		}
		args, err := splitArguments(text)
		if err == nil && (len(args) == 0 || args[0] == "") {
			err = errors.New("no directive")
		}
		if err == nil {
			err = c.add(strings.ToLower(args[0]), args[1:])
		}
		if err != nil {
			return ConfFile{}, fmt.Errorf("line %d: %w", number, err)
		}
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return ConfFile{}, fmt.Errorf("a line of more than %d bytes", maxConfLine)
	case err != nil:
		return ConfFile{}, err
	case limited.N == 0:
		return ConfFile{}, fmt.Errorf("more than %d bytes", maxConfBytes)
	}
	return c, nil
}

func (c *ConfFile) add(name string, args []string) error {
	switch {
	case len(args) == 0:
		return errors.New("a directive without a value")
	case name == "include":
		c.Includes = append(c.Includes, args...)
	case slices.Contains(confAdded, name):
		if !slices.Contains(c.Added, name) {
			c.Added = append(c.Added, name)
		}
	case name == "save":
		// Lines add up until an empty one clears them.
		if len(args) == 1 && args[0] == "" {
			c.Values[name] = []string{}
			return nil
		}
		if len(args)%2 != 0 {
			return errors.New("save: want pairs of seconds and changes")
		}
		c.Values[name] = append(c.Values[name], args...)
	case name == "client-output-buffer-limit" || name == "oom-score-adj-values":
		c.Values[name] = append(c.Values[name], args...)
	default:
		c.Values[name] = args
	}
	return nil
}

// splitArguments splits a line as Redis does (sdssplitargs): words, "text" with \n \r \t \b \a \xHH
// and \ before any other character, 'text' with \' only.
func splitArguments(line string) ([]string, error) {
	var args []string
	for i := 0; ; {
		for i < len(line) && confSpace(line[i]) {
			i++
		}
		if i == len(line) {
			return args, nil
		}
		var b strings.Builder
	word:
		for i < len(line) && !confSpace(line[i]) {
			switch c := line[i]; c {
			case '"', '\'':
				text, end, err := quoted(line[i:])
				if err != nil {
					return nil, err
				}
				b.WriteString(text)
				i += end
				break word
			default:
				b.WriteByte(c)
				i++
			}
		}
		args = append(args, b.String())
	}
}

func confSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

var errUnbalanced = errors.New("a quote is not closed, or no space follows it")

// quoted parses the quoted text at the beginning of s. end is the index after it.
func quoted(s string) (text string, end int, err error) {
	var b strings.Builder
	quote := s[0]
	for i := 1; i < len(s); i++ {
		c := s[i]
		switch {
		case c == quote:
			if i+1 < len(s) && !confSpace(s[i+1]) {
				return "", 0, errUnbalanced
			}
			return b.String(), i + 1, nil
		case c != '\\' || i+1 == len(s):
			b.WriteByte(c)
		case quote == '\'':
			if s[i+1] == '\'' {
				i++
				c = '\''
			}
			b.WriteByte(c)
		default:
			var used int
			c, used = escaped(s[i+1:])
			b.WriteByte(c)
			i += used
		}
	}
	return "", 0, errUnbalanced
}

// escaped decodes the text after a backslash, which is at least one byte.
func escaped(s string) (c byte, used int) {
	if s[0] == 'x' && len(s) >= 3 {
		if n, err := strconv.ParseUint(s[1:3], 16, 8); err == nil {
			return byte(n), 3
		}
	}
	if i := strings.IndexByte("nrtba", s[0]); i >= 0 {
		return "\n\r\t\b\a"[i], 1
	}
	return s[0], 1
}

// confBytes parses an amount of memory: 1k is 1000, 1kb is 1024, and so on.
func confBytes(text string) (n int64, ok bool) {
	digits := strings.TrimRight(strings.ToLower(text), "abcdefghijklmnopqrstuvwxyz")
	unit, known := map[string]int64{
		"": 1, "b": 1, "k": 1e3, "kb": 1 << 10, "m": 1e6, "mb": 1 << 20, "g": 1e9, "gb": 1 << 30,
	}[strings.ToLower(text[len(digits):])]
	n, err := strconv.ParseInt(digits, 10, 64)
	if !known || err != nil || n < 0 || n > 1<<62/unit {
		return 0, false
	}
	return n * unit, true
}

// confSize formats an amount of memory for a configuration file.
func confSize(n int64) string {
	for _, unit := range []struct {
		size int64
		name string
	}{{1 << 30, "gb"}, {1 << 20, "mb"}, {1 << 10, "kb"}} {
		if n >= unit.size && n%unit.size == 0 {
			return strconv.FormatInt(n/unit.size, 10) + unit.name
		}
	}
	return strconv.FormatInt(n, 10)
}
