package nodes

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	asked, silent, dropped, invalid, reconnects prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, n *Nodes) *metrics {
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
		if reg != nil {
			reg.MustRegister(c)
		}
		return c
	}
	if reg != nil {
		reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "fx_nodes_others",
			Help: "Other nodes that sent a message within 5 s (with more than 32 nodes, 5 s per 32). Fewer than are running: they or this node cannot reach Redis."},
			func() float64 { return float64(len(n.Others())) }))
	}
	return &metrics{
		asked:      counter("fx_nodes_asked_total", "Questions that this node sent to all others, or to one."),
		silent:     counter("fx_nodes_silent_total", "Answers that did not arrive within a second. Growing: a node is overloaded or cut off from Redis."),
		dropped:    counter("fx_nodes_dropped_total", "Questions not answered because 8 were being answered already. Not 0: a client of the admin API asks far too often."),
		invalid:    counter("fx_nodes_invalid_messages_total", "Messages that no node sends: malformed or too long. Above 0: another program publishes under the prefix."),
		reconnects: counter("fx_nodes_reconnects_total", "Times the subscription was lost and opened again. Growing: Redis or the network is unstable."),
	}
}
