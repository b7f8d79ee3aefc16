package protocol

import (
	"encoding/json"
	"errors"
	"fmt"
)

// ErrUnknownType is wrapped by Decode's error for a message of unknown type. A newer server may
// send one; clients should ignore it.
var ErrUnknownType = errors.New("protocol: unknown type of message")

// Decode decodes a message of the server and returns a value of one of the types of Message. It
// ignores unknown fields and checks only the JSON types of values.
func Decode(data []byte) (Message, error) {
	var head struct{ Type string }
	if err := json.Unmarshal(data, &head); err != nil {
		return nil, fmt.Errorf("protocol: decode: %w", err)
	}
	switch head.Type {
	case TypeWelcome:
		return decodeAs[Welcome](data)
	case TypeSession:
		return decodeAs[Renewed](data)
	case TypeAck:
		return decodeAs[Ack](data)
	case TypeSnapshot:
		return decodeAs[Snapshot](data)
	case TypeUpdate:
		return decodeAs[Update](data)
	case TypeStatus:
		return decodeAs[Status](data)
	case TypeCandle:
		return decodeAs[CandleUpdate](data)
	case TypeDay:
		return decodeAs[DayUpdate](data)
	case TypeRelayed:
		return decodeAs[Relayed](data)
	case TypeResumed:
		return decodeAs[Resumed](data)
	case TypeHeartbeat:
		return decodeAs[Heartbeat](data)
	case TypePong:
		return decodeAs[Pong](data)
	case TypeList:
		return decodeAs[List](data)
	case TypeError:
		return decodeAs[Error](data)
	case TypeClosing:
		return decodeAs[Closing](data)
	}
	return nil, fmt.Errorf("%w: %s", ErrUnknownType, echo(head.Type))
}

func decodeAs[M Message](data []byte) (Message, error) {
	var m M
	if err := json.Unmarshal(data, &m); err != nil {
		return nil, fmt.Errorf("protocol: decode: %w", err)
	}
	return m, nil
}
