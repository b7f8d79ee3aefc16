package vendor

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Refused is the error of a vendor that will never send quotes to a target, such as after a wrong
// key. Its text names the cause in the words of the vendor.
type Refused struct{ Reason string }

func (e *Refused) Error() string { return e.Reason }

func refused(format string, args ...any) error { return &Refused{fmt.Sprintf(format, args...)} }

// Throttled is the error of a vendor that must be left alone for a while.
type Throttled struct {
	After  time.Duration // 0 = the vendor did not say
	Reason string
}

func (e *Throttled) Error() string { return e.Reason }

// maxAnswer bounds what is read of the answer to a refused request.
const maxAnswer = 4 << 10

// statusError returns the error of a response without the wanted status, and reads the vendor's
// words in it.
func statusError(resp *http.Response, t Target) error {
	var words string
	if resp.Body != nil {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
		words = t.clean(errorMessage(body))
	}
	text := fmt.Sprintf("the answer is %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	if words != "" {
		text += ": " + words
	}
	after, given := retryAfter(resp.Header.Get("Retry-After"), time.Now())
	switch code := resp.StatusCode; {
	case (code == http.StatusUnauthorized || code == http.StatusForbidden) && t.Key != "":
		return refused("the key is refused, %s; check --key-file, FEED_KEY or FEED_KEY_FILE", text)
	case code == http.StatusTooManyRequests, code == http.StatusServiceUnavailable && given:
		return &Throttled{after, text}
	case code == http.StatusBadRequest, code == http.StatusNotFound, code == http.StatusMethodNotAllowed, code == http.StatusGone:
		return refused("%s; check --symbols, --account and --url", text)
	}
	return errors.New(text)
}

// longestPause bounds a Retry-After that is obeyed.
const longestPause = 24 * time.Hour

// retryAfter reads the header of that name: seconds, or a date.
func retryAfter(text string, now time.Time) (after time.Duration, given bool) {
	text = strings.TrimSpace(text)
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		after = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(text); err == nil {
		after = at.Sub(now)
	} else {
		return 0, false
	}
	return min(max(after, 0), longestPause), true
}

// errorMessage returns a vendor's words in an answer: of a JSON object the message, else the first
// line of a short text.
func errorMessage(body []byte) string {
	var answer struct {
		ErrorMessage string `json:"errorMessage"`
		Message      string `json:"message"`
		Error        text   `json:"error"`
	}
	if json.Unmarshal(body, &answer) == nil {
		return cmp.Or(answer.ErrorMessage, answer.Message, string(answer.Error))
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(body)), "\n")
	if strings.HasPrefix(line, "<") { // a page
		return ""
	}
	return line
}

// maxWords bounds what is repeated of a vendor's words.
const maxWords = 200

// clean returns a vendor's words in a form that may be shown: short, printable, and without the key.
func (t Target) clean(words string) string {
	if t.Key != "" {
		words = strings.ReplaceAll(words, t.Key, "***")
	}
	if len(words) > maxWords {
		words = words[:maxWords] + "…"
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(words, ""))
}

// netError returns the cause of a failed request without its address, which may hold a password.
func netError(err error) error {
	if failed, ok := errors.AsType[*url.Error](err); ok {
		return failed.Err
	}
	return err
}
