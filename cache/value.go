package cache

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/klauspost/compress/zstd"
)

// header begins a stored value that is not plain bytes; a kind byte follows. Plain bytes that
// happen to begin with it get a header too, so that they cannot be mistaken.
var header = []byte{0x00, 'f', 'x'}

const headerSize = 4

// kind is the format of a stored value. The numbers are in Redis: add new ones, never change one.
type kind byte

const (
	kindBytes     kind = 1 // bytes; also the kind of a value without header
	kindJSON      kind = 2
	kindZstdBytes kind = 3
	kindZstdJSON  kind = 4
	kindMiss      kind = 5 // the source has no value; there is no payload
)

// codec encodes and decodes stored values. It is safe for concurrent use.
type codec struct {
	from int // values of this many bytes are compressed; never if negative
	zip  *zstd.Encoder
	unz  *zstd.Decoder
}

func newCodec(from int) (*codec, error) {
	zip, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(2), zstd.WithLowerEncoderMem(true), zstd.WithWindowSize(1<<20))
	if err != nil {
		return nil, fmt.Errorf("cache: %w", err)
	}
	// The bound protects against a small value of another program that decompresses without
	// end.
	unz, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(2), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(MaxValue))
	if err != nil {
		return nil, fmt.Errorf("cache: %w", err)
	}
	return &codec{from: from, zip: zip, unz: unz}, nil
}

// encode returns the stored form of value. It never shares memory with value.
func (c *codec) encode(value any) ([]byte, error) {
	var payload []byte
	k := kindBytes
	switch v := value.(type) {
	case []byte:
		payload = v
	case string:
		payload = []byte(v)
	default:
		var err error
		if payload, err = json.Marshal(value); err != nil {
			return nil, fmt.Errorf("cache: a value of type %T: %w", value, err)
		}
		k = kindJSON
	}
	if len(payload) > MaxValue {
		return nil, fmt.Errorf("cache: a value of %d bytes: want at most %d", len(payload), MaxValue)
	}
	if c.from >= 0 && len(payload) >= c.from {
		raw := append(make([]byte, 0, headerSize+len(payload)/2), header...)
		raw = c.zip.EncodeAll(payload, append(raw, byte(k)+2))
		if len(raw) <= len(payload)-len(payload)/8 {
			return raw, nil
		}
	}
	if k == kindBytes && !bytes.HasPrefix(payload, header) {
		return bytes.Clone(payload), nil
	}
	return append(withHeader(k, len(payload)), payload...), nil
}

func withHeader(k kind, size int) []byte {
	return append(append(make([]byte, 0, headerSize+size), header...), byte(k))
}

// decode returns the payload of a stored value, which may share its memory. A value that it cannot
// read is returned as bytes; known is false if it has the header.
func (c *codec) decode(raw []byte) (payload []byte, k kind, known bool) {
	if !bytes.HasPrefix(raw, header) {
		return raw, kindBytes, true
	}
	if len(raw) < headerSize {
		return raw, kindBytes, false
	}
	k, payload = kind(raw[headerSize-1]), raw[headerSize:]
	switch k {
	case kindBytes, kindJSON:
		return payload, k, true
	case kindZstdBytes, kindZstdJSON:
		plain, err := c.unz.DecodeAll(payload, nil)
		if err == nil && len(plain) <= MaxValue {
			return plain, k - 2, true
		}
	case kindMiss:
		if len(payload) == 0 {
			return nil, k, true
		}
	}
	return raw, kindBytes, false
}

// decodeInto decodes the payload of a stored value into *into. A []byte shares the payload's
// memory, a string is a copy, and any other type is decoded from JSON.
func decodeInto[T any](payload []byte, into *T) error {
	switch p := any(into).(type) {
	case *[]byte:
		*p = payload
	case *string:
		*p = string(payload)
	default:
		if err := json.Unmarshal(payload, into); err != nil {
			return fmt.Errorf("%w: want %T: %w", ErrFormat, *into, err)
		}
	}
	return nil
}
