package main

import (
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
)

// A result holds the measurements of one run. Times are microseconds unless their name has a unit.
type result struct {
	Label   string  `json:"label,omitempty"`
	Dialect string  `json:"dialect"`
	Clients int     `json:"clients"`
	Rate    float64 `json:"rate"`
	Burst   int     `json:"burst"`
	Symbols int     `json:"symbols"`
	Wanted  int     `json:"wanted"`
	Slow    int     `json:"slow"`
	Stuck   int     `json:"stuck"`

	ConnectSeconds float64        `json:"connect_s"`
	IdleKB         float64        `json:"idle_kb_per_client,omitempty"`
	RSSKB          int64          `json:"rss_kb"`
	Published      uint64         `json:"published"`
	LateMax        int64          `json:"publisher_late_max_us"`
	Delivered      uint64         `json:"delivered"`
	PerSecond      float64        `json:"delivered_per_s"`
	Skipped        uint64         `json:"skipped"`
	Lost           uint64         `json:"lost"`       // gaps that skipped does not explain
	Doubled        uint64         `json:"doubled"`    // seq that did not grow
	NotLatest      uint64         `json:"not_latest"` // (client, symbol) pairs that do not end on the newest quote
	ServerCPU      float64        `json:"server_us_per_delivery"`
	ServerPercent  float64        `json:"server_cpu_percent"`
	ClientCPU      float64        `json:"server_us_per_client_second"`
	OwnCPU         float64        `json:"loadgen_us_per_delivery"`
	PerFrame       float64        `json:"quotes_per_message"`
	PerRead        float64        `json:"quotes_per_read"`
	BytesEach      float64        `json:"bytes_per_delivery"`
	P50            int            `json:"p50_us"`
	P90            int            `json:"p90_us"`
	P99            int            `json:"p99_us"`
	P999           int            `json:"p999_us"`
	Max            int            `json:"max_us"`
	SlowAgeMax     int64          `json:"slow_age_max_us,omitempty"`
	JoinP50        float64        `json:"join_p50_ms,omitempty"`
	JoinP99        float64        `json:"join_p99_ms,omitempty"`
	JoinFailed     int            `json:"join_failed,omitempty"`
	Closes         map[string]int `json:"closes,omitempty"`
	Ended          uint64         `json:"ended_without_close,omitempty"`
}

// fill merges the workers' counts; they have stopped.
func (r *result) fill(f *fleet, p *publisher, seconds, cpu, own float64) {
	latency := make([]uint64, maxLatency+1)
	var frames, reads, bytes uint64
	r.Closes = make(map[string]int)
	for _, w := range f.workers {
		r.Delivered += w.delivered
		r.Skipped += w.skipped
		r.Lost += w.lost
		r.Doubled += w.doubled
		r.Ended += w.failed
		r.SlowAgeMax = max(r.SlowAgeMax, w.slowAge)
		frames += w.counts.frames
		reads += w.reads
		bytes += w.bytes
		for i, n := range w.latency {
			latency[i] += uint64(n)
		}
		for code, n := range w.closes {
			r.Closes[strconv.Itoa(int(code))] += n
		}
		if p.client != nil {
			r.NotLatest += w.behind(p.seq)
		}
	}
	r.Published, r.LateMax = p.sent.Load(), p.late.Load()
	each := func(v float64, n uint64) float64 { return v / float64(max(n, 1)) }
	r.PerSecond = float64(r.Delivered) / seconds
	r.ServerCPU = each(cpu*1e6, r.Delivered)
	r.ClientCPU = cpu * 1e6 / seconds / float64(r.Clients)
	r.ServerPercent = 100 * cpu / seconds
	r.OwnCPU = each(own*1e6, r.Delivered)
	r.PerFrame = each(float64(r.Delivered), frames)
	r.PerRead = each(float64(r.Delivered), reads)
	r.BytesEach = each(float64(bytes), r.Delivered)
	quantile := func(q float64) int {
		want, n := uint64(q*float64(r.Delivered)), uint64(0)
		for i, v := range latency {
			if n += v; n > 0 && n >= want {
				return i
			}
		}
		return 0
	}
	r.P50, r.P90, r.P99, r.P999, r.Max = quantile(.5), quantile(.9), quantile(.99), quantile(.999), quantile(1)
	r.JoinP50, r.JoinP99 = f.joins.quantile(.5).Seconds()*1e3, f.joins.quantile(.99).Seconds()*1e3
	r.JoinFailed = f.joins.failed
}

// table prints a result for people.
func (r *result) table(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) { fmt.Fprintf(w, "%s\t%s\n", name, fmt.Sprintf(format, args...)) }
	row("clients", "%d (%d slow, %d stuck), connected in %.2f s", r.Clients, r.Slow, r.Stuck, r.ConnectSeconds)
	if r.IdleKB > 0 {
		row("memory per idle client", "%.1f KB", r.IdleKB)
	}
	row("published", "%d (%.0f/s asked, in bursts of %d of %d symbols; at most %d µs late)", r.Published, r.Rate, r.Burst, r.Symbols, r.LateMax)
	row("delivered", "%d (%.0f/s; %.2f per message, %.2f per read, %.0f bytes each)", r.Delivered, r.PerSecond, r.PerFrame, r.PerRead, r.BytesEach)
	row("skipped, told", "%d", r.Skipped)
	row("lost, doubled, not latest", "%d, %d, %d", r.Lost, r.Doubled, r.NotLatest)
	row("server CPU", "%.2f µs per delivery, %.0f µs per client and second, %.0f %% of one processor", r.ServerCPU, r.ClientCPU, r.ServerPercent)
	row("loadgen CPU", "%.2f µs per delivery", r.OwnCPU)
	row("latency", "p50 %d  p90 %d  p99 %d  p99.9 %d  max %d µs", r.P50, r.P90, r.P99, r.P999, r.Max)
	if r.Slow > 0 {
		row("oldest price at a slow reader", "%.2f s", float64(r.SlowAgeMax)/1e6)
	}
	if r.JoinP99 > 0 || r.JoinFailed > 0 {
		row("joins meanwhile", "p50 %.1f  p99 %.1f ms, %d failed", r.JoinP50, r.JoinP99, r.JoinFailed)
	}
	row("memory of the server", "%d KB", r.RSSKB)
	if len(r.Closes) > 0 || r.Ended > 0 {
		row("closed by the server", "%v, %d without a close frame", r.Closes, r.Ended)
	}
	return w.Flush()
}
