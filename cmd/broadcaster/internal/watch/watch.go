// Package watch shows the prices of a server: `broadcaster watch`.
package watch

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/fxcast/fxcast/client"
	"github.com/fxcast/fxcast/cmd/broadcaster/internal/cli"
)

const (
	maxToken   = 4 << 10 // bytes of a token file
	screenRate = 4       // quotes of a symbol per second, on a terminal
)

// A request is what the command line asks for.
type request struct {
	symbols   []string
	url       string
	tokenFile string
	everyTick bool
	json      bool
}

// parse reads the arguments. flag.ErrHelp means that the user asked for help.
func parse(args []string) (r request, err error) {
	fs := flag.NewFlagSet("watch", flag.ContinueOnError)
	fs.StringVar(&r.url, "url", "http://127.0.0.1:8080", "")
	fs.StringVar(&r.tokenFile, "token-file", "", "")
	fs.BoolVar(&r.everyTick, "every-tick", false, "")
	fs.BoolVar(&r.json, "json", false, "")
	if r.symbols, err = cli.ParseMixed(fs, args); err != nil {
		return r, err
	}
	if len(r.symbols) == 0 {
		r.symbols = []string{"*"}
	}
	return r, nil
}

// Run runs the command.
func Run(ctx context.Context, call cli.Call) int {
	r, err := parse(call.Args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return call.Help()
	case err != nil:
		return call.Misused("watch: %v", err)
	}
	server, err := parseServer(r.url)
	if err != nil {
		return call.Misused("watch: --url: %v", err)
	}
	o := client.Options{URL: server.socket()}
	if r.tokenFile != "" {
		if o.Token, err = readToken(r.tokenFile); err != nil {
			return call.Fail("watch", err)
		}
	} else {
		guest := server.guest()
		if err := guest.signIn(ctx); err != nil {
			return call.Fail("watch", err)
		}
		o.Ticket = guest.ticket
	}
	view := newView(call, r)
	o.OnState, o.OnStatus, o.OnError = view.state, view.status, view.trouble
	err = receive(ctx, o, r, view)
	view.end()
	if err != nil && ctx.Err() == nil {
		return call.Fail("watch", errors.New(strings.TrimPrefix(err.Error(), "client: ")))
	}
	return cli.OK
}

// receive passes quotes to a view until ctx ends. It returns why it ended before.
func receive(ctx context.Context, o client.Options, r request, view view) error {
	fx, err := client.Dial(ctx, o)
	if err != nil {
		return err
	}
	defer fx.Close()
	mode := client.Latest
	switch {
	case r.everyTick:
		mode = client.All
	case view.slow():
		mode = client.MaxRate(screenRate)
	}
	sub, err := fx.Subscribe(r.symbols, mode)
	if err != nil {
		return err
	}
	for q, err := range sub.Quotes(ctx) {
		_, gap := errors.AsType[*client.GapError](err)
		_, refused := errors.AsType[*client.CommandError](err)
		switch {
		case gap, refused:
			view.trouble(err)
		case err != nil:
			return err
		default:
			if err := view.quote(q); err != nil {
				return err
			}
		}
	}
	return nil
}

// readToken reads a token from a file, without the newline that editors add.
func readToken(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxToken))
	if err != nil {
		return "", err
	}
	token := strings.TrimRight(string(text), "\r\n")
	if token == "" {
		return "", fmt.Errorf("%s: it is empty, want a token", file)
	}
	return token, nil
}
