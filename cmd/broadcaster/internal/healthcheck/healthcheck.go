// Package healthcheck asks the server on this machine whether it is alive: for `broadcaster
// healthcheck`, which container engines run.
package healthcheck

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/config"
)

// patience bounds one question, connecting included.
const patience = 3 * time.Second

// Ask sends GET /livez to the public listener of a server with these settings. It returns an error if
// the server does not answer with 200 in time. Ask does not verify the certificate, which is for the
// name of the service and not for this machine.
func Ask(ctx context.Context, cfg config.HTTP) error {
	host, port, err := net.SplitHostPort(cfg.Addr)
	if err != nil {
		return fmt.Errorf("HTTP_ADDR: %w", err)
	}
	if port == "0" {
		return errors.New("HTTP_ADDR: its port is 0, so the server has a port that is not known here")
	}
	scheme := "http"
	if cfg.TLSCertFile != "" {
		scheme = "https"
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	client := http.Client{
		Transport: &http.Transport{ // without a proxy: this is for the server itself
			DisableKeepAlives: true,
			TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return dial(ctx, network, host, port)
			},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	// The Host is a loopback name, which the server accepts in every mode.
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+net.JoinHostPort("localhost", port)+"/livez", nil)
	if err != nil {
		return err
	}
	answer, err := client.Do(request)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("no answer from HTTP_ADDR=%s within %v", cfg.Addr, patience)
	case err != nil:
		return fmt.Errorf("HTTP_ADDR=%s: %w", cfg.Addr, errors.Unwrap(err))
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("HTTP_ADDR=%s: /livez answers %s", cfg.Addr, answer.Status)
	}
	return nil
}

// dial connects to a listener. A listener on all addresses is reached by loopback, of IPv6 if it has
// no IPv4.
func dial(ctx context.Context, network, host, port string) (net.Conn, error) {
	var d net.Dialer
	if ip := net.ParseIP(host); host != "" && (ip == nil || !ip.IsUnspecified()) {
		return d.DialContext(ctx, network, net.JoinHostPort(host, port))
	}
	conn, err := d.DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
	if err != nil {
		if six, sixErr := d.DialContext(ctx, network, net.JoinHostPort("::1", port)); sixErr == nil {
			return six, nil
		}
	}
	return conn, err
}
