package cache

// Match reports whether key matches pattern.
func Match(pattern, key string) (bool, error) {
	p, err := parsePattern(pattern)
	if err != nil {
		return false, err
	}
	return p.match(key), nil
}

// Codec exposes how values are stored.
type Codec struct{ c *codec }

func NewCodec(from int) (Codec, error) {
	c, err := newCodec(from)
	return Codec{c}, err
}

func (c Codec) Encode(value any) ([]byte, error) { return c.c.encode(value) }

func (c Codec) Decode(raw []byte) (payload []byte, known bool) {
	payload, _, known = c.c.decode(raw)
	return payload, known
}
