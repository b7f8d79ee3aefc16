package vendor

import "time"

// Hurry shortens the pauses of a Supervisor.
func (s *Supervisor) Hurry(open, throttled time.Duration) {
	s.pace.open, s.pace.throttled = open, throttled
	s.pace.first, s.pace.most, s.pace.spacing = 20*time.Millisecond, 200*time.Millisecond, 0
}

// ReadECB returns the day and the rates of a file.
func ReadECB(file []byte) (date string, rates map[string]string, err error) {
	day, err := readECB(file)
	rates = map[string]string{}
	for _, r := range day.rates {
		rates[r.currency] = r.rate
	}
	return day.date, rates, err
}

var (
	ECBTime    = ecbTime
	RetryAfter = retryAfter
)

const ECBBytes = ecbBytes
