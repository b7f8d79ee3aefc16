package protocol

import (
	"fmt"
	"strconv"
	"strings"
)

// EventIDAny is the event id of a stream with too many positions to list.
const EventIDAny = "*"

// AppendEventID appends the positions of a client, SYMBOL:epoch:seq for each symbol, separated by
// commas.
func AppendEventID(dst []byte, positions map[string]Position) []byte {
	first := true
	for symbol, at := range positions {
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(append(dst, symbol...), ':')
		dst = append(append(dst, at.Epoch...), ':')
		dst = strconv.AppendUint(dst, at.Seq, 10)
	}
	return dst
}

// ParseEventID parses the text that AppendEventID writes. It does not check symbols and epochs:
// Command.Check does so with Since.
func ParseEventID(id string) (map[string]Position, error) {
	positions := make(map[string]Position)
	for entry := range strings.SplitSeq(id, ",") {
		parts := strings.Split(entry, ":")
		if len(parts) != 3 || len(positions) == maxSince {
			return nil, fmt.Errorf("want up to %d SYMBOL:epoch:seq, separated by commas", maxSince)
		}
		seq, err := strconv.ParseUint(parts[2], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%s: want SYMBOL:epoch:seq", echo(entry))
		}
		positions[parts[0]] = Position{Epoch: parts[1], Seq: seq}
	}
	return positions, nil
}
