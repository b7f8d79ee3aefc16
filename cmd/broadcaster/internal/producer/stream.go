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

// readWait is the interval at which a waiting stream checks whether its context has ended.
const readWait = 100 * time.Millisecond

// stream is an input that can be read only once: standard input, a pipe, a terminal. A read ends
// with its context, even if no data comes.
type stream struct {
	ctx  context.Context
	file *os.File
	own  bool // Close closes it
	stop func() bool
}

// isStream reports whether the input of this name can be read only once.
func isStream(name string) bool {
	if name == standardInput {
		return true
	}
	info, err := os.Stat(name)
	return err == nil && !info.Mode().IsRegular() && !info.IsDir()
}

// openStream opens an input for reading. It does not wait for the writer of a FIFO.
func openStream(ctx context.Context, name string) (*stream, error) {
	s := &stream{ctx: ctx, file: os.Stdin}
	if !isStandardInput(name) {
		var err error
		if s.file, err = os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0); err != nil {
			return nil, err
		}
		s.own = true
	}
	// Another process may read the available data first.
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

// Ready waits until Read would return at once, but only for a while, and reports whether it would.
// It is for tickfile.NewReader.
func (s *stream) Ready(wait time.Duration) bool {
	for end := time.Now().Add(wait); s.ctx.Err() == nil; {
		left := time.Until(end)
		if left < time.Millisecond { // readable waits for whole milliseconds
			return false
		}
		if ready, err := readable(s.file, min(left, readWait)); ready || err != nil {
			return true
		}
	}
	return true // Read returns the error
}

// Close closes the input, unless it is standard input.
func (s *stream) Close() error {
	s.stop()
	if s.own {
		return s.file.Close()
	}
	return nil
}

// statStream describes an input, so that two names of the same input are found.
func statStream(name string) (os.FileInfo, error) {
	if isStandardInput(name) {
		return os.Stdin.Stat()
	}
	return os.Stat(name)
}

func isStandardInput(name string) bool {
	return slices.Contains([]string{standardInput, "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"}, name)
}
