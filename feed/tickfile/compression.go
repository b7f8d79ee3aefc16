package tickfile

import (
	"archive/zip"
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
	"github.com/ulikunitz/xz/lzma"
)

// content is the decompressed content of a file.
type content struct {
	io.Reader
	names []string // where it comes from, outermost first: path, then member of the archive
	close []func() error

	read     *counter        // bytes read from the file
	archive  *counterAt      // bytes read from an archive; nil for other files
	buffered []*bufio.Reader // buffers between read and the content; offset uses only the first if compressed
	plain    bool            // the file is not compressed

	ready func(time.Duration) bool // Ready of an uncompressed pipe, else nil
}

// offset returns how many bytes of the file have been read, without those still buffered.
func (c *content) offset() int64 {
	if c.archive != nil {
		return c.archive.end
	}
	n := c.read.n
	for i, b := range c.buffered {
		if c.plain || i == 0 {
			n -= int64(b.Buffered())
		}
	}
	return n
}

// counter counts the bytes that are read.
type counter struct {
	io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += int64(n)
	return n, err
}

// counterAt records where the last read ended.
type counterAt struct {
	io.ReaderAt
	end int64
}

func (c *counterAt) ReadAt(p []byte, at int64) (int, error) {
	n, err := c.ReaderAt.ReadAt(p, at)
	c.end = at + int64(n)
	return n, err
}

const (
	maxWindow  = 64 << 20 // memory of a decompressor for its window
	maxZipPipe = 64 << 20
)

// decompress recognizes the compression of r by its first bytes and removes one layer of it.
// Uncompressed content is passed through.
func decompress(r io.Reader, name string) (*content, error) {
	read := &counter{Reader: r}
	in := bufio.NewReaderSize(read, 64<<10)
	magic, err := in.Peek(lzma.HeaderLen)
	if err != nil && err != io.EOF {
		return nil, fmt.Errorf("read: %w", err)
	}
	c := &content{Reader: in, names: []string{name}, read: read, buffered: []*bufio.Reader{in}}
	kind := ""
	switch {
	case bytes.HasPrefix(magic, []byte("\x1f\x8b")):
		kind = "gzip"
		c.Reader, err = gzip.NewReader(in)
	case bytes.HasPrefix(magic, []byte("PK\x03\x04")) || bytes.HasPrefix(magic, []byte("PK\x05\x06")):
		kind = "zip"
		err = c.unzip(r, in)
	case bytes.HasPrefix(magic, []byte("\xfd7zXZ\x00")):
		kind = "xz"
		c.Reader, err = xz.NewReader(in)
	case bytes.HasPrefix(magic, []byte("\x28\xb5\x2f\xfd")):
		kind = "zstd"
		var d *zstd.Decoder
		if d, err = zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow)); err == nil {
			c.Reader = d
			c.close = append(c.close, func() error { d.Close(); return nil })
		}
	case bytes.HasPrefix(magic, []byte("BZh")):
		kind = "bzip2"
		c.Reader = bzip2.NewReader(in)
	case len(magic) == lzma.HeaderLen && lzma.ValidHeader(magic):
		kind = "lzma"
		c.Reader, err = lzma.ReaderConfig{DictCap: maxWindow}.NewReader(in)
	default:
		c.plain = true
		if pipe, ok := r.(interface{ Ready(time.Duration) bool }); ok {
			c.ready = pipe.Ready
		}
		return c, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", kind, err)
	}
	c.Reader = named{c.Reader, kind}
	return c, nil
}

// named adds the kind of compression to errors.
type named struct {
	io.Reader
	kind string
}

func (n named) Read(p []byte) (int, error) {
	k, err := n.Reader.Read(p)
	if err != nil && err != io.EOF {
		err = fmt.Errorf("%s: %w", n.kind, err)
	}
	return k, err
}

// unzip opens the one file of a zip archive that can contain ticks. r is the archive, and in is a
// buffer that has read its beginning.
func (c *content) unzip(r io.Reader, in *bufio.Reader) error {
	at, size, err := randomAccess(r, in)
	if err != nil {
		return err
	}
	c.archive = &counterAt{ReaderAt: at}
	z, err := zip.NewReader(c.archive, size)
	if err != nil {
		return err
	}
	var files []*zip.File
	for _, f := range z.File {
		hidden := strings.HasPrefix(path.Base(f.Name), ".") // such as .DS_Store
		if !f.FileInfo().IsDir() && !strings.HasPrefix(f.Name, "__MACOSX/") && !hidden {
			files = append(files, f)
		}
	}
	if len(files) > 1 { // HistData adds a report
		kept := files[:0]
		for _, f := range files {
			if !strings.EqualFold(path.Ext(f.Name), ".txt") {
				kept = append(kept, f)
			}
		}
		files = kept
	}
	if len(files) != 1 {
		return fmt.Errorf("%d files in the archive, want one with ticks", len(files))
	}
	f, err := files[0].Open()
	if err != nil {
		return err
	}
	c.Reader = f
	c.names = append(c.names, files[0].Name)
	c.close = append(c.close, f.Close)
	return nil
}

func randomAccess(r io.Reader, in *bufio.Reader) (io.ReaderAt, int64, error) {
	type file interface {
		io.ReaderAt
		io.Seeker
	}
	if f, ok := r.(file); ok {
		size, err := f.Seek(0, io.SeekEnd)
		if err == nil {
			return f, size, nil
		}
	}
	all, err := io.ReadAll(io.LimitReader(in, maxZipPipe+1))
	if err != nil {
		return nil, 0, err
	}
	if len(all) > maxZipPipe {
		return nil, 0, errors.New("a zip archive of over 64 MB through a pipe; want it as a file, or unpacked")
	}
	return bytes.NewReader(all), int64(len(all)), nil
}
