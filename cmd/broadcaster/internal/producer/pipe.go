package producer

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/cli"
	"github.com/fxcast/fxcast/cmd/broadcaster/internal/config"
	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/feed/accept"
)

const pipeUsage = `Usage: broadcaster feed pipe [flags]

Publishes the quotes of standard input, one JSON object or array a line, as
producers send them. It ends when the input does and every quote is accepted or
reported:

  kcat -C -b HOST -t quotes -u | broadcaster feed pipe

Reading waits while Redis takes no quotes, and nothing is dropped. Refused
quotes are reported, counted and listed by the admin API (GET
/api/v1/feed/rejected). An input that ends inside a line is reported, and that
line is not taken; a last line that is whole needs no line end.

  --source NAME    the source of quotes that name none (default pipe)

Exit codes: 0 all was accepted; 1 something was refused, or nothing was
accepted; 2 nothing could be read; 130 interrupted.
`

// pipeCommand runs `feed pipe`.
func pipeCommand(ctx context.Context, call cli.Call, open openFunc) int {
	cfg, fault := config.Load(call.Environ)
	fs := flag.NewFlagSet("pipe", flag.ContinueOnError)
	source := fs.String("source", "pipe", "")
	rest, err := cli.ParseMixed(fs, call.Args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return call.Help()
	case err != nil:
	case len(rest) > 0:
		err = fmt.Errorf("unexpected argument %.64q; it reads standard input", rest[0])
	default:
		*source, err = sourceName(*source)
	}
	if err != nil {
		return call.Misused("feed pipe: %v", err)
	}
	if fault != nil {
		return call.Fail("feed pipe", fault)
	}
	in, err := openStream(ctx, standardInput)
	if err == nil {
		defer in.Close()
	}
	var out *output
	if err == nil {
		out, err = open(ctx)
	}
	switch {
	case err != nil && ctx.Err() != nil:
		return cli.Interrupted
	case err != nil:
		return call.Fail("feed pipe", err)
	}
	defer out.close()
	options := feed.InputOptions{Instruments: cfg.Feed.Instruments, Base: cfg.Feed.Base, Source: *source}
	return newPipe(newJob("read", call), out, in, options).run(ctx)
}

// pipe is one run of `feed pipe`.
type pipe struct {
	job   *job
	out   *output
	input feed.InputOptions
	lines lines

	line   uint64 // number of the current line
	failed error  // of reading
}

func newPipe(j *job, out *output, in io.Reader, options feed.InputOptions) *pipe {
	return &pipe{job: j, out: out, input: options, lines: lines{r: bufio.NewReaderSize(in, 64<<10)}}
}

// run reads the input to its end and returns the exit code.
func (p *pipe) run(ctx context.Context) int {
	box := newOutbox(p.out.publisher, p.job.tally, p.job.events())
	box.rejects, box.via = p.out.rejected, accept.ViaPipe
	p.job.watch(p.job.text, func() { box.run(ctx, p.read) })
	c := p.job.tally.snapshot()
	interrupted := ctx.Err() != nil && (p.failed != nil || c.unsent > 0)
	switch {
	case interrupted:
		p.job.console.say("interrupted in line %d of the input", p.line)
	case p.failed != nil:
		p.job.console.say("broadcaster: feed pipe: %v", p.failed)
		p.job.tally.file()
	case p.line == 0:
		p.job.console.say("broadcaster: feed pipe: the input is empty")
	}
	c = p.job.tally.snapshot()
	p.job.total(c)
	switch {
	case interrupted:
		return cli.Interrupted
	case p.line == 0:
		return cli.Misuse
	case c.accepted == 0 || c.refused()+c.bad+c.files+c.unsent+c.unknown > 0:
		return cli.Failed
	}
	return cli.OK
}

// read adds the quotes of the input until it ends, or ctx does.
func (p *pipe) read(ctx context.Context, add addFunc) {
	for {
		line, long, err := p.lines.next()
		if len(line) > 0 || err == nil {
			p.line++
		}
		switch {
		case long:
			p.refuse(feed.NewRejection(feed.ReasonTooLong, "the line is longer than the limit of %d bytes: send it in parts", feed.MaxInputBody), feed.Quote{}, line)
		case errors.Is(err, io.EOF) && len(line) > 0 && !json.Valid(bytes.TrimSpace(line)):
			p.cut(line)
		case err == nil || errors.Is(err, io.EOF):
			if p.add(ctx, add, line) != nil {
				p.failed = ctx.Err()
				return
			}
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				p.failed = err
			}
			return
		}
	}
}

// add adds the quotes of a line.
func (p *pipe) add(ctx context.Context, add addFunc, line []byte) error {
	if len(bytes.TrimSpace(line)) == 0 {
		return nil
	}
	items, err := feed.SplitInput(line)
	if err != nil {
		p.refuse(feed.BodyRejection(err), feed.Quote{}, line)
		return nil
	}
	quotes := make([]feed.Quote, 0, len(items))
	for _, item := range items {
		q, err := feed.ParseInput(item, p.input)
		if r, ok := errors.AsType[*feed.Rejection](err); ok {
			p.refuse(r, q, item)
			continue
		}
		quotes = append(quotes, q)
	}
	p.job.tally.made(len(quotes))
	return add(ctx, quotes)
}

// refuse reports what is no quote.
func (p *pipe) refuse(r *feed.Rejection, q feed.Quote, input []byte) {
	p.job.tally.made(1)
	p.job.tally.rejected(r.Reason)
	p.out.rejected.Add(r, q, accept.ViaPipe, input)
	p.say("rejected", r)
}

// cut reports the end of an input inside a line.
func (p *pipe) cut(line []byte) {
	r := feed.NewRejection(feed.ReasonBadLine, "the input ends inside this line, which was not taken")
	p.job.tally.badLine()
	p.out.rejected.Add(r, feed.Quote{Source: p.input.Source}, accept.ViaPipe, line)
	p.say("not taken", r)
}

func (p *pipe) say(what string, r *feed.Rejection) {
	switch n := p.job.tally.reported(); {
	case n <= badLinesShown:
		p.job.console.say("%s: line %d: %s", what, p.line, cli.Printable(r.Error()))
	case n == badLinesShown+1:
		p.job.console.say("other bad lines are only counted")
	}
}

// lines reads an input line by line in bounded memory.
type lines struct {
	r    *bufio.Reader
	line []byte
}

// next returns a line, without its end, until the next call. Of one that is too long it returns the
// beginning. The error is io.EOF with a line, which may be empty, that has no end.
func (l *lines) next() (line []byte, long bool, err error) {
	l.line = l.line[:0]
	for {
		part, err := l.r.ReadSlice('\n')
		if room := feed.MaxInputBody + 1 - len(l.line); len(part) > room {
			long, part = true, part[:room]
		}
		l.line = append(l.line, part...)
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		return bytes.TrimSuffix(l.line, []byte{'\n'}), long, err
	}
}
