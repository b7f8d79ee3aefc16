package protocol_test

import (
	"fmt"
	"time"

	"github.com/fxcast/fxcast/protocol"
)

// A client reads messages one after the other and keeps its position in each symbol.
func ExampleDecode() {
	positions := map[string]protocol.Position{}
	for _, text := range []string{
		`{"type":"ack","id":1,"op":"subscribe","ok":["EUR/USD"],"failed":[],"max_rate":0,"mode":"all"}`,
		`{"type":"snapshot","data":[{"symbol":"EUR/USD","bid":"1.08501","ask":"1.08513","ts":"2026-11-22T10:15:00.123456Z","seq":1841,"epoch":"k3f9"}]}`,
		`{"type":"update","data":[{"symbol":"EUR/USD","bid":"1.08502","ask":"1.08514","ts":"2026-11-22T10:15:00.623456Z","seq":1842}]}`,
		`{"type":"closing","code":1012,"reason":"restart","reconnect_after_ms":1730}`,
	} {
		message, err := protocol.Decode([]byte(text))
		if err != nil {
			fmt.Println(err)
			continue
		}
		var quotes []protocol.Quote
		switch m := message.(type) {
		case protocol.Snapshot:
			quotes = m.Data
		case protocol.Update:
			quotes = m.Data
		case protocol.Closing:
			fmt.Println("closing:", m.Code, protocol.ReconnectAfter(m.Code))
		}
		for _, q := range quotes {
			at := positions[q.Symbol]
			if at.Seq = q.Seq; q.Epoch != "" {
				at.Epoch = q.Epoch
			}
			positions[q.Symbol] = at
			fmt.Println(q.Symbol, q.Bid, q.Ask, at.Epoch, at.Seq)
		}
	}
	resume := protocol.Command{Op: protocol.OpSubscribe, ID: []byte("2"), Symbols: []string{"EUR/USD"}, Mode: protocol.ModeAll, Since: positions}
	fmt.Printf("%s\n", resume.Append(nil))
	// Output:
	// EUR/USD 1.08501 1.08513 k3f9 1841
	// EUR/USD 1.08502 1.08514 k3f9 1842
	// closing: 1012 yes, after `reconnect_after_ms`
	// {"op":"subscribe","id":2,"symbols":["EUR/USD"],"mode":"all","since":{"EUR/USD":{"epoch":"k3f9","seq":1842}}}
}

// A client of the subprotocol NameBinary reads its binary messages with one Decoder per connection.
func ExampleDecoder() {
	quote := protocol.Quote{Symbol: "EUR/USD", Bid: "1.08501", Ask: "1.08513", Time: protocol.At(time.Date(2026, 11, 22, 10, 15, 0, 0, time.UTC)), Seq: 1841}
	first, _ := protocol.Code(quote.AppendBody(nil))
	quote.Bid, quote.Seq = "1.08500", 1842
	second, _ := protocol.Code(quote.AppendBody(nil))
	const number = 7 // of EUR/USD
	messages := [][]byte{
		protocol.AppendTick(protocol.AppendSymbol(nil, number, "EUR/USD"), first.AppendKey(nil, number), protocol.Extra{Epoch: "k3f9"}),
		protocol.AppendTick(nil, second.AppendDifference(nil, number, &first), protocol.Extra{}),
	}
	var decoder protocol.Decoder
	for _, data := range messages {
		message, err := decoder.Decode(data)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(len(data), "bytes:", string(message.Append(nil)))
	}
	// Output:
	// 39 bytes: {"type":"update","data":[{"symbol":"EUR/USD","bid":"1.08501","ask":"1.08513","ts":"2026-11-22T10:15:00.000000Z","seq":1841,"epoch":"k3f9"}]}
	// 8 bytes: {"type":"update","data":[{"symbol":"EUR/USD","bid":"1.08500","ask":"1.08513","ts":"2026-11-22T10:15:00.000000Z","seq":1842}]}
}

// A server encodes a quote once and adds what only one client gets.
func ExampleAppendQuote() {
	body := []byte(`{"symbol":"EUR/USD","bid":"1.08501","ask":"1.08513","ts":"2026-11-22T10:15:00.123456Z","seq":1841`)
	fmt.Printf("%s\n", protocol.AppendQuote(nil, body, protocol.Extra{Skipped: 3}))
	// Output:
	// {"symbol":"EUR/USD","bid":"1.08501","ask":"1.08513","ts":"2026-11-22T10:15:00.123456Z","seq":1841,"skipped":3}
}

func ExampleCloseCodes() {
	for _, c := range protocol.CloseCodes() {
		if c.Code >= 4000 {
			fmt.Println(c.Code, c.Reconnect, "-", c.Reason)
		}
	}
	// Output:
	// 4001 no - session expired
	// 4008 yes - slow consumer
	// 4009 yes, after `reconnect_after_ms` - too many connections
	// 4029 yes, after `reconnect_after_ms` - rate limited
}
