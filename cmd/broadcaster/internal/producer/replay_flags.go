package producer

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/cli"
	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/tickfile"
)

const replayUsage = `Usage: broadcaster feed replay [flags] FILE...

Publishes recorded quotes, merging several files by time. FILE may be a pipe; -
is standard input. Files are recognized by their content, plain or compressed
(gzip, zip, xz, lzma, zstd, bzip2). A file that can be read in two ways is
refused, as are bars and trades. Refused quotes and unreadable lines are
reported, counted and listed by the admin API (GET /api/v1/feed/rejected); the
replay continues with the others.

  --speed N        1 keeps the real gaps (default), 60 is 60 times faster, max
                   does not wait at all
  --symbol S       the symbol, if neither the file nor its name has it
  --zone ZONE      the zone of times without one, such as Europe/Athens or UTC
  --from TIME      skip all quotes before this time in the files: RFC 3339, such
                   as 2020-01-31T17:00:00Z, or Unix time
  --keep-time      publish with the times in the files; the default is the time
                   of publishing
  --source NAME    the quotes' source (default replay)
  --loop           start again at the end, until interrupted

Assumptions for each format:

  FORMAT           COLUMNS                                TIMES WITHOUT A ZONE
  Dukascopy CSV    by the heading: time, ask, bid, sizes; GMT; "Local time"
                   without a heading, by the lines        needs --zone
  Dukascopy .bi5   ms, ask, bid, sizes; the scale by a    UTC; the hour by the
                   table of instruments                   path, months from 00
  HistData         time, bid, ask, 0                      EST all year (UTC-5)
  TrueFX           symbol, time, bid, ask                 UTC
  FXCM             DateTime,Bid,Ask; the month first      UTC
  MetaTrader 5     by the heading; an empty side repeats  UTC, since the file
                   the line before                        lacks the server's
  MetaTrader 4     time, then bid and ask in an order     the same
                   that the lines show
  other CSV        by a heading that names time, bid and  UTC; numbers are Unix
                   ask, in any order                      time
  NDJSON           objects as producers send them         ignored: the time of
                                                          publishing

Exit codes: 0 all was accepted; 1 something was refused, or nothing was
accepted; 2 nothing could be read; 130 interrupted, and the last lines name the
--from to continue with.
`

// replayFlags is the command line of `feed replay`.
type replayFlags struct {
	files    []string
	speed    float64 // 0 = as fast as Redis takes them
	symbol   feed.Symbol
	zone     *time.Location // of times that have none; nil = that of the format
	from     time.Time      // earlier quotes are skipped
	keepTime bool
	source   string
	loop     bool

	instruments *feed.Instruments
}

func parseReplay(args []string, instruments *feed.Instruments) (f replayFlags, err error) {
	f.instruments = instruments
	fs := flag.NewFlagSet("replay", flag.ContinueOnError)
	speed := fs.String("speed", "1", "")
	symbol := fs.String("symbol", "", "")
	zone := fs.String("zone", "", "")
	from := fs.String("from", "", "")
	fs.BoolVar(&f.keepTime, "keep-time", false, "")
	fs.StringVar(&f.source, "source", "replay", "")
	fs.BoolVar(&f.loop, "loop", false, "")
	if f.files, err = cli.ParseMixed(fs, args); err != nil {
		return f, err
	}
	given := cli.Given(fs)
	if f.speed, err = parseSpeed(*speed); err != nil {
		return f, err
	}
	if *symbol != "" {
		if f.symbol, err = instruments.ParseSymbol(*symbol); err != nil {
			return f, fmt.Errorf("--symbol: %w", err)
		}
	}
	if given["zone"] {
		if f.zone, err = parseZone(*zone); err != nil {
			return f, err
		}
	}
	if given["from"] {
		if f.from, err = parseFrom(*from, f.zone); err != nil {
			return f, err
		}
	}
	switch {
	case len(f.files) == 0:
		return f, errors.New("no FILE, want at least one file of recorded quotes, or - for standard input")
	case f.loop && f.keepTime:
		return f, errors.New("--loop: not together with --keep-time, since times must not go back")
	}
	if err = f.checkStreams(); err != nil {
		return f, err
	}
	f.source, err = sourceName(f.source)
	return f, err
}

// parseSpeed reads the value of --speed; 0 means that the replay does not wait.
func parseSpeed(text string) (float64, error) {
	if text == "max" {
		return 0, nil
	}
	speed, err := strconv.ParseFloat(strings.TrimSuffix(text, "x"), 64)
	if err != nil || !(speed >= 0.001 && speed <= 1e6) {
		return 0, fmt.Errorf("--speed: want max or a number from 0.001 to 1000000, got %.64q", text)
	}
	return speed, nil
}

// parseZone reads the value of --zone.
func parseZone(name string) (*time.Location, error) {
	zone, err := time.LoadLocation(name)
	if err != nil || name == "" || name == "Local" { // "Local" means another zone on each machine
		return nil, fmt.Errorf("--zone: want UTC or a name such as Europe/Athens or America/New_York, got %.64q", name)
	}
	return zone, nil
}

// parseFrom reads the value of --from. zone applies to a time without one.
func parseFrom(text string, zone *time.Location) (time.Time, error) {
	t, zoned, ok := feed.ReadTime(text)
	switch {
	case !ok:
		return t, fmt.Errorf("--from: want a time such as 2020-01-31T17:00:00Z, or Unix time, got %.64q", text)
	case !zoned && zone == nil:
		return t, fmt.Errorf("--from: %.64q has no zone; want one such as Z after it, or --zone", text)
	case !zoned:
		year, month, day := t.Date()
		t = time.Date(year, month, day, t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), zone).UTC()
	}
	return t, nil
}

// checkStreams refuses command lines that would read a stream twice.
func (f *replayFlags) checkStreams() error {
	var seen []os.FileInfo
	for _, name := range f.files {
		if !isStream(name) {
			continue
		}
		if f.loop {
			return fmt.Errorf("--loop: %s can be read only once", name)
		}
		info, err := statStream(name)
		if err != nil {
			continue // reported when it is opened
		}
		for _, other := range seen {
			if os.SameFile(info, other) {
				return fmt.Errorf("%s is named twice, but can be read only once", name)
			}
		}
		seen = append(seen, info)
	}
	return nil
}

// options returns the options for reading the files.
func (f *replayFlags) options() []tickfile.Option {
	opts := []tickfile.Option{tickfile.WithInstruments(f.instruments)}
	if f.symbol != "" {
		opts = append(opts, tickfile.WithSymbol(f.symbol))
	}
	if f.zone != nil {
		opts = append(opts, tickfile.WithZone(f.zone))
	}
	return opts
}
