package producer

import (
	"strings"
	"testing"

	"github.com/fxcast/fxcast/feed/tickfile"
)

func TestMergeByTime(t *testing.T) {
	a := write(t, "EURUSD.csv", "20200101 170000000,1,1,0\n20200101 170002000,3,3,0\n20200101 170002000,4,4,0\n")
	b := write(t, "GBPUSD.csv", "20200101 170001000,2,2,0\njunk\n20200101 170002000,5,5,0\n")
	c := write(t, "USDCHF.csv", "20200101 170003000,6,6,0\n")
	var recordings []*recording
	for i, name := range []string{a, b, c} {
		r, err := newRecording(t.Context(), name, i, nil)
		if err != nil {
			t.Fatal(err)
		}
		if r.reader != nil {
			t.Errorf("%s is held open", name)
		}
		recordings = append(recordings, r)
	}
	for range 2 { // as --loop does
		m := newMerge(recordings)
		bad := 0
		m.bad = func(string, *tickfile.LineError) { bad++ }
		m.broken = func(_ *recording, err error) { t.Error(err) }
		var got []string
		for q, ok := m.next(t.Context()); ok; q, ok = m.next(t.Context()) {
			got = append(got, q.Bid)
		}
		m.close()
		if want := "1 2 3 4 5 6"; strings.Join(got, " ") != want || bad != 1 {
			t.Errorf("%v with %d bad lines, want %s with 1", got, bad, want)
		}
	}
}
