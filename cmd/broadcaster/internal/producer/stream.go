package producer

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"syscall"
	"time"
)

// standardInput is the name of standard input on the command line.
const standardInput = "-"

// readWait bounds how long a stream waits before it looks whether it should end.
const readWait = 100 * time.Millisecond

// stream is an input that can be read once only: standard input, a pipe, a terminal.
// Reading it ends when its context does, also while nobody writes.
type stream struct {
	ctx  context.Context
	file *os.File
	own  bool // to be closed
	stop func() bool
}

// isStream reports whether the input of this name can be read once only.
func isStream(name string) bool {
	if name == standardInput {
		return true
	}
	info, err := os.Stat(name)
	return err == nil && !info.Mode().IsRegular() && !info.IsDir()
}

// openStream opens an input for reading. A FIFO that nobody has opened for writing
// does not make it wait.
func openStream(ctx context.Context, name string) (*stream, error) {
	s := &stream{ctx: ctx, file: os.Stdin}
	if !isStandardInput(name) {
		var err error
		if s.file, err = os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0); err != nil {
			return nil, err
		}
		s.own = true
	}
	// In case that someone else reads what was there to read.
	s.stop = context.AfterFunc(ctx, func() { _ = s.file.SetReadDeadline(time.Unix(1, 0)) })
	return s, nil
}

// Read implements io.Reader. Its error is that of the context if that has ended.
func (s *stream) Read(p []byte) (int, error) {
	for {
		if err := s.ctx.Err(); err != nil {
			return 0, err
		}
		ready, err := readable(s.file, readWait)
		switch {
		case err != nil:
			return 0, err
		case !ready:
			continue
		}
		n, err := s.file.Read(p)
		if n == 0 && err != nil && err != io.EOF {
			if s.ctx.Err() != nil {
				return 0, s.ctx.Err()
			}
			if errors.Is(err, syscall.EAGAIN) {
				continue
			}
		}
		return n, err
	}
}

// Ready waits until Read would return at once, at most for a while, and reports
// whether it would. It is for tickfile.NewReader.
func (s *stream) Ready(wait time.Duration) bool {
	for end := time.Now().Add(wait); s.ctx.Err() == nil; {
		left := time.Until(end)
		if left < time.Millisecond { // it waits for whole ones
			return false
		}
		if ready, err := readable(s.file, min(left, readWait)); ready || err != nil {
			return true
		}
	}
	return true // Read returns the error
}

// Close ends the reading. Standard input stays open.
func (s *stream) Close() error {
	s.stop()
	if s.own {
		return s.file.Close()
	}
	return nil
}

// statStream describes an input, so that two names of one can be found.
func statStream(name string) (os.FileInfo, error) {
	if isStandardInput(name) {
		return os.Stdin.Stat()
	}
	return os.Stat(name)
}

func isStandardInput(name string) bool {
	return slices.Contains([]string{standardInput, "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"}, name)
}
