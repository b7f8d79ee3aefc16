package node

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"

	"github.com/fxcast/fxcast/cmd/broadcaster/internal/config"
	"github.com/fxcast/fxcast/cmd/broadcaster/internal/redisclient"
)

// Serve builds every part, runs them, and ends them in order when ctx ends. It returns the first
// error of a part that failed. It prints the address of the page and the tokens of an embedded
// server to stdout.
func Serve(ctx context.Context, cfg config.Config, logger *slog.Logger, stdout io.Writer) error {
	tuneMemory()
	addr := ""
	if cfg.Embedded() {
		logger.Warn("no REDIS_URL or REDIS_HOST: using a Redis inside this process, in memory and for one machine; nothing survives a restart")
		listening, stop, err := startEmbedded(cfg.Redis.EmbeddedAddr)
		if err != nil {
			return err
		}
		defer stop()
		addr = listening
		logger.Info("embedded redis listens", "addr", addr)
		admin, publish := cfg.GenerateTokens()
		if admin != "" {
			fmt.Fprintln(stdout, "ADMIN_TOKEN="+admin)
		}
		if publish != "" {
			fmt.Fprintln(stdout, "PUBLISH_TOKEN="+publish)
		}
	}
	cfg.LogWarnings(logger)
	client, err := redisclient.Open(ctx, cfg, redisclient.Options{Addr: addr, Logger: logger})
	if err != nil {
		return err
	}
	defer client.Close()
	logRedis(ctx, client, cfg, logger)

	n, err := New(cfg, client, logger)
	if err != nil {
		return err
	}
	public, err := net.Listen("tcp", cfg.HTTP.Addr)
	if err != nil {
		return fmt.Errorf("HTTP_ADDR: %w", err)
	}
	defer public.Close()
	var admin net.Listener
	if cfg.HTTP.AdminAddr != "" {
		if admin, err = net.Listen("tcp", cfg.HTTP.AdminAddr); err != nil {
			return fmt.Errorf("ADMIN_ADDR: %w", err)
		}
		defer admin.Close()
	}
	return n.Run(ctx, public, admin, stdout)
}
