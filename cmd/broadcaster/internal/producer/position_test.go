package producer

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestPositionText(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p position
		at := time.Date(2020, 1, 1, 22, 0, 0, 65e6, time.UTC)
		check := func(want string) {
			t.Helper()
			if got := p.text(time.Now(), tallyCounts{made: 7}, 12); got != want {
				t.Errorf("%s\nwant %s", got, want)
			}
		}
		const counts = "read 7, accepted 0, rejected 0, bad lines 0, 12 ticks/s"
		check(counts)
		p.await("a.fifo")
		time.Sleep(3 * time.Second)
		check(counts + ", waiting for a.fifo since 3s")
		p.reach(at, 2_500_000, 0)
		check("2.5 MB, 2020-01-01T22:00:00.065Z: " + counts)

		p = position{}
		p.reach(at, 100, 1100)
		p.play(time.Now())
		time.Sleep(10 * time.Second)
		p.reach(at, 350, 1100)
		p.play(time.Now())
		check("31.8 %, 2020-01-01T22:00:00.065Z: " + counts + ", about 30s left")
		p.reach(at, 600, 1100)
		p.play(time.Now().Add(time.Hour)) // so the half takes an hour and 10 s
		check("54.5 %, 2020-01-01T22:00:00.065Z: " + counts + ", about 2h0m10s left, next quote in 1h0m0s")
		p.finish()
		check("100.0 %, 2020-01-01T22:00:00.065Z: " + counts)
	})
}
