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
			Help: "Other nodes heard of within 5 s. Fewer than are running: they or this one can not reach Redis."},
			func() float64 { return float64(len(n.Others())) }))
	}
	return &metrics{
		asked:      counter("fx_nodes_asked_total", "Questions this node put to all others."),
		silent:     counter("fx_nodes_silent_total", "Answers that did not come within a second. Growing: a node is overloaded or cut off from Redis."),
		dropped:    counter("fx_nodes_dropped_total", "Questions not answered because too many came at a time. Not 0: something asks far too often."),
		invalid:    counter("fx_nodes_invalid_messages_total", "Messages that this program did not send. Above 0: another program publishes under the prefix."),
		reconnects: counter("fx_nodes_reconnects_total", "Times the subscription was opened anew. Growing: Redis or the network is unsteady."),
	}
}
