package feed

import (
	"maps"
	"slices"
	"strings"
)

// currency is the entry of a code in the table below.
type currency struct {
	minorUnits int8 // digits of the smallest accounting unit by ISO 4217; -1 if ISO gives none
	coarsePip  bool // a pip is 0.01 if this is the quote currency
	metal      bool
}

// currencies holds the currency codes of ISO 4217 (list one) in force on 1 January 2026, CNH, and
// four metals by the troy ounce. The list contains VED, SLE, XCG (for ANG) and ZWG. It no longer
// contains HRK, CUC, ANG, ZWL, SLL, or BGN, which the euro replaced that day.
//
// Only codes that are traded against other currencies are listed. Deliberately left out are units
// of account and fund codes (XDR, XSU, XUA, XAD, BOV, CHE, CHW, CLF, COU, MXV, USN, UYI, UYW), bond
// market units (XBA to XBD), and the codes for tests and for no currency (XTS, XXX).
//
// CNH, the offshore yuan, is not an ISO code but has its own market and price. It must never be
// written as CNY: the two prices differ most when it matters.
var currencies = currencyTable()

const (
	twoDigits = `AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD
		CAD CDF CHF CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD
		HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK
		MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB
		SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD
		UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG`
	noDigits    = `BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF`
	threeDigits = `BHD IQD JOD KWD LYD OMR TND`
	offshore    = `CNH`
	metals      = `XAU XAG XPT XPD`

	// coarsePips lists the quote currencies whose pip is 0.01. Retail dealers do so for JPY, HUF,
	// THB and INR. The rule extends to all units so small that a dollar buys more than about 30 of
	// them. CZK and TRY stay at 0.0001, as dealers quote them.
	coarsePips = `AFN ALL AMD AOA ARS BDT BIF BTN CDF CLP COP CRC CVE DJF DOP DZD EGP ETB GMD GNF GYD HTG HUF IDR
		INR IQD IRR ISK JMD JPY KES KGS KHR KMF KPW KRW KZT LAK LBP LKR LRD MGA MKD MMK MNT MRU MUR MWK MZN
		NGN NIO NPR PHP PKR PYG RSD RUB RWF SDG SOS SRD SSP SYP THB TWD TZS UAH UGX UYU UZS VED VES VND VUV
		XAF XOF XPF YER`
)

func currencyTable() map[string]currency {
	table := make(map[string]currency, 170)
	add := func(codes string, c currency) {
		for code := range strings.FieldsSeq(codes) {
			table[code] = c
		}
	}
	add(noDigits, currency{minorUnits: 0})
	add(twoDigits, currency{minorUnits: 2})
	add(threeDigits, currency{minorUnits: 3})
	add(offshore, currency{minorUnits: 2})
	add(metals, currency{minorUnits: -1, metal: true})
	for code := range strings.FieldsSeq(coarsePips) {
		c := table[code]
		c.coarsePip = true
		table[code] = c
	}
	return table
}

// Currencies returns the codes that are known without INSTRUMENTS, sorted. The caller owns the
// slice.
func Currencies() []string {
	return slices.Sorted(maps.Keys(currencies))
}

// MinorUnits returns how many digits after the point an amount of the currency is accounted in by
// ISO 4217: 2 for EUR, 0 for JPY, 3 for BHD. It is not the precision of prices; see
// Instruments.Digits. ok is false for an unknown code and for the metals, which have no minor unit.
func MinorUnits(code string) (digits int, ok bool) {
	c, ok := currencies[code]
	if !ok || c.minorUnits < 0 {
		return 0, false
	}
	return int(c.minorUnits), true
}
