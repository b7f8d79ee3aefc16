package feed

// The two ways DecodeAccepted reads a message, for tests that compare them.
var (
	DecodeExact  = decodeExact
	DecodeObject = func(msg []byte) (Accepted, error) {
		a, r := decodeObject(msg)
		if r != nil {
			return Accepted{}, r
		}
		return a, nil
	}
)
