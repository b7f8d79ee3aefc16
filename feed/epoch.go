package feed

import (
	"crypto/rand"
	"encoding/base32"
	"strconv"
	"strings"
	"time"
)

// Epochs have an order, so that the one of a replaced master is known to be over. An epoch is the
// time at which it began, in ms and bornDigits digits of base 36, and random characters of a-z and
// 2-7. Version 0.1 began epochs of eight random characters: these are older than all others.
const (
	bornDigits  = 9
	epochLength = bornDigits + 4
)

// NewEpoch returns an epoch that begins now.
func NewEpoch(now time.Time) string {
	var b [5]byte
	rand.Read(b[:])
	ms := strconv.FormatInt(now.UnixMilli(), 36)
	random := strings.ToLower(base32.StdEncoding.EncodeToString(b[:]))
	return strings.Repeat("0", max(bornDigits-len(ms), 0)) + ms + random[:epochLength-bornDigits]
}

// EpochBegan returns when an epoch began, in Unix milliseconds; 0 if that is not known. The publish
// script decides by the same rule.
func EpochBegan(epoch string) int64 {
	if len(epoch) != epochLength || epoch[0] != '0' && epoch[0] != '1' {
		return 0
	}
	ms, err := strconv.ParseInt(epoch[:bornDigits], 36, 64)
	if err != nil {
		return 0
	}
	return ms
}
