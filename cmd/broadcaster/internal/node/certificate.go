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

// certificateEvery is the interval between checks of the files.
const certificateEvery = time.Second

// A certificate is the pair of TLS_CERT_FILE and TLS_KEY_FILE, read again when a file changes. A
// pair that does not load is counted and logged, and the previous one stays in use. Every check
// tries again, since the other file may not be written yet. get is safe for concurrent use.
type certificate struct {
	certFile, keyFile string
	log               *slog.Logger
	pair              atomic.Pointer[tls.Certificate]

	// Owned by Run; before Run, by newCertificate.
	loaded fileState // of the pair in use
	failed fileState // of the last pair that did not load, which is logged once

	reloads, faults prometheus.Counter
	expiry          prometheus.Gauge
}

// fileState identifies the content of the two files by their cheap properties.
type fileState struct {
	certTime, keyTime time.Time
	certSize, keySize int64
	missing           bool
}

func newCertificate(certFile, keyFile string, reg prometheus.Registerer, logger *slog.Logger) (*certificate, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile, log: logger,
		reloads: prometheus.NewCounter(prometheus.CounterOpts{Name: "fx_tls_reloads_total",
			Help: "Times a changed certificate was loaded."}),
		faults: prometheus.NewCounter(prometheus.CounterOpts{Name: "fx_tls_reload_failures_total",
			Help: "Failed attempts to load changed certificate files, one a second while that lasts. Growing: the old certificate is in use; see the log."}),
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

// Run checks the files until ctx ends, then returns nil.
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
				c.log.Error("TLS_CERT_FILE: cannot load the changed files, the previous certificate stays in use", "err", err)
			}
			c.failed = state
			continue
		}
		c.reloads.Inc()
		c.log.Info("certificate reloaded", "expires", c.pair.Load().Leaf.NotAfter)
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

// load uses the files if they are a valid pair. state is from before the read, so the next check
// finds a change in between.
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

// config returns the configuration of a listener with this certificate.
func (c *certificate) config() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.pair.Load(), nil },
	}
}
