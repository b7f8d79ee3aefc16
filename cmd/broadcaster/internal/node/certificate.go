package node

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// certificateEvery is how often the files are looked at.
const certificateEvery = time.Second

// A certificate is the pair of TLS_CERT_FILE and TLS_KEY_FILE, read again when a
// file changes. A pair that does not load is counted and logged, and the one
// before it stays in use; it is tried again at every look, since one of the two
// files may just not have been written yet. get is safe for concurrent use.
type certificate struct {
	certFile, keyFile string
	log               *slog.Logger
	pair              atomic.Pointer[tls.Certificate]

	// Owned by Run, before that by newCertificate.
	loaded fileState // of the pair in use
	failed fileState // of the last one that did not load: it is logged once

	reloads, faults prometheus.Counter
	expiry          prometheus.Gauge
}

// fileState tells one content of the two files from another, by what is cheap.
type fileState struct {
	certTime, keyTime time.Time
	certSize, keySize int64
	missing           bool
}

func newCertificate(certFile, keyFile string, reg prometheus.Registerer, logger *slog.Logger) (*certificate, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile, log: logger,
		reloads: prometheus.NewCounter(prometheus.CounterOpts{Name: "fx_tls_reloads_total",
			Help: "Times a changed certificate was taken into use."}),
		faults: prometheus.NewCounter(prometheus.CounterOpts{Name: "fx_tls_reload_failures_total",
			Help: "Looks at changed certificate files that did not load, once a second while that lasts. Growing: the old certificate is in use; see the log."}),
		expiry: prometheus.NewGauge(prometheus.GaugeOpts{Name: "fx_tls_certificate_expires_seconds",
			Help: "Unix time at which the certificate in use expires. Soon: replace the files, no restart is needed."}),
	}
	state := c.look()
	if err := c.load(state); err != nil {
		return nil, fmt.Errorf("TLS_CERT_FILE: %w", err)
	}
	reg.MustRegister(c.reloads, c.faults, c.expiry)
	return c, nil
}

// Run looks at the files until ctx ends, then returns nil.
func (c *certificate) Run(ctx context.Context) error {
	tick := time.NewTicker(certificateEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		state := c.look()
		if state == c.loaded {
			continue
		}
		if err := c.load(state); err != nil {
			c.faults.Inc()
			if state != c.failed {
				c.log.Error("TLS_CERT_FILE: the changed files do not load, the certificate before them stays in use", "err", err)
			}
			c.failed = state
			continue
		}
		c.reloads.Inc()
		c.log.Info("certificate read again", "expires", c.pair.Load().Leaf.NotAfter)
	}
}

func (c *certificate) look() (s fileState) {
	cert, err := os.Stat(c.certFile)
	key, keyErr := os.Stat(c.keyFile)
	if err != nil || keyErr != nil {
		return fileState{missing: true}
	}
	return fileState{certTime: cert.ModTime(), keyTime: key.ModTime(), certSize: cert.Size(), keySize: key.Size()}
}

// load takes the files into use if they are a pair; state is from before they are read,
// so that a change in between is seen at the next look.
func (c *certificate) load(state fileState) error {
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return err
	}
	c.pair.Store(&pair)
	c.loaded = state
	c.expiry.Set(float64(pair.Leaf.NotAfter.Unix()))
	return nil
}

// config is that of a listener with this certificate.
func (c *certificate) config() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.pair.Load(), nil },
	}
}
