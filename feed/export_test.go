package feed

// The two ways DecodeTick reads a message, for tests that compare them.
var (
	DecodeExact  = decodeExact
	DecodeObject = func(msg []byte) (Tick, error) {
		a, r := decodeObject(msg)
		if r != nil {
			return Tick{}, r
		}
		return a, nil
	}
)
