package feed_test

import (
	"fmt"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/protocol"
)

func ExampleInstruments_ParseSymbol() {
	var table *feed.Instruments // the table without settings
	for _, s := range []string{"eurusd", "USD_JPY", "EUR/XYZ"} {
		symbol, err := table.ParseSymbol(s)
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(symbol, table.Digits(symbol), table.Pip(symbol))
	}
	// Output:
	// EUR/USD 5 0.0001
	// USD/JPY 3 0.01
	// unknown symbol "EUR/XYZ": "XYZ" is not a current ISO 4217 currency or one of XAU, XAG, XPT, XPD, CNH, nor listed in INSTRUMENTS
}

func ExampleParseInput() {
	options := feed.InputOptions{Base: "EUR"}
	for _, message := range []string{
		`{"currency":"USD","price":1.2345,"timestamp":"2026-11-22T11:15:00+01:00"}`,
		`{"symbol":"GBPUSD","bid":"1.30120","ask":"1.30100"}`,
	} {
		q, err := feed.ParseInput([]byte(message), options)
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(q.Symbol, q.Bid, q.Ask, protocol.FormatTime(q.Time))
	}
	// Output:
	// EUR/USD 1.2345 1.2345 2026-11-22T10:15:00.000000Z
	// crossed: ask 1.30100 is below bid 1.30120: the ask must not be less than the bid
}
