package redislink

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// maxLoggedKey bounds the bytes of a key in the log.
const maxLoggedKey = 128

// commandLogs holds the loggers of the clients whose commands are logged, so that Own logs those of
// its clients too. It is empty unless the level is debug, and has one entry per client of a process.
var commandLogs sync.Map // redis.UniversalClient → *slog.Logger

// LogCommands logs each command of rdb, and of the clients that Own opens from it, at level debug:
// its name, its first key or channel, how long it took and why it failed. It logs no values and no
// other arguments, as these may be secrets. If the logger does not log debug, no hook is installed
// and commands cost nothing. Subscriptions are logged by their listeners.
func LogCommands(rdb redis.UniversalClient, logger *slog.Logger) {
	if rdb == nil || logger == nil || !logger.Enabled(context.Background(), slog.LevelDebug) {
		return
	}
	commandLogs.Store(rdb, logger)
	switch c := rdb.(type) {
	case *redis.Client:
		c.AddHook(commandLog{logger})
	case *redis.ClusterClient: // by node, since some commands are sent to a node's client directly
		c.OnNewNode(func(node *redis.Client) { LogCommands(node, logger) })
	}
}

// commandLog is the hook of LogCommands.
type commandLog struct{ log *slog.Logger }

// DialHook implements redis.Hook.
func (l commandLog) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		start := time.Now()
		conn, err := next(ctx, network, addr)
		l.log.Debug("redis connection", "addr", addr, "took", time.Since(start), "err", errorText(err))
		return conn, err
	}
}

// ProcessHook implements redis.Hook.
func (l commandLog) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		start := time.Now()
		err := next(ctx, cmd)
		l.line(cmd, time.Since(start), err, 0)
		return err
	}
}

// ProcessPipelineHook implements redis.Hook. Each command of a pipeline took as long as all of it.
func (l commandLog) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		start := time.Now()
		err := next(ctx, cmds)
		took := time.Since(start)
		for _, cmd := range cmds {
			l.line(cmd, took, cmd.Err(), len(cmds))
		}
		return err
	}
}

func (l commandLog) line(cmd redis.Cmder, took time.Duration, err error, pipeline int) {
	attrs := []slog.Attr{slog.String("name", cmd.Name()), slog.String("key", keyOf(cmd)), slog.Duration("took", took), slog.String("err", errorText(err))}
	if pipeline > 0 {
		attrs = append(attrs, slog.Int("pipeline", pipeline))
	}
	l.log.LogAttrs(context.Background(), slog.LevelDebug, "redis command", attrs...)
}

// errorText returns the code of an answer of Redis, or the text of another error. The text of an
// answer may repeat arguments.
func errorText(err error) string {
	switch {
	case err == nil, errors.Is(err, redis.Nil):
		return ""
	case Code(err) != "":
		return Code(err)
	}
	return err.Error()
}

// keyedCommands are the commands whose first argument is a key or a channel. Arguments of all other
// commands stay out of the log.
var keyedCommands = map[string]bool{
	"append": true, "decr": true, "del": true, "exists": true, "expire": true, "expireat": true, "expiretime": true, "get": true, "getdel": true,
	"getex": true, "getset": true, "hdel": true, "hget": true, "hgetall": true, "hincrby": true, "hmget": true, "hset": true, "incr": true,
	"incrby": true, "lindex": true, "llen": true, "lpush": true, "lrange": true, "ltrim": true, "mget": true, "persist": true, "pexpire": true,
	"pexpireat": true, "pexpiretime": true, "psetex": true, "pttl": true, "publish": true, "rpush": true, "sadd": true, "scard": true, "set": true,
	"setex": true, "setnx": true, "sismember": true, "smembers": true, "spublish": true, "srem": true, "sscan": true, "strlen": true, "touch": true,
	"ttl": true, "type": true, "unlink": true, "watch": true, "xadd": true, "xdel": true, "xlen": true, "xrange": true,
	"xrevrange": true, "xtrim": true, "zadd": true, "zcard": true, "zcount": true, "zrange": true, "zrangebyscore": true, "zrem": true,
	"zremrangebyscore": true, "zscore": true,
}

// keyOf returns the first key or channel of a command, "" if it has none.
func keyOf(cmd redis.Cmder) string {
	args, at := cmd.Args(), 1
	switch name := cmd.Name(); name {
	case "eval", "evalsha", "eval_ro", "evalsha_ro", "fcall", "fcall_ro":
		if at = 3; len(args) > 2 && (args[2] == 0 || args[2] == "0") {
			return ""
		}
	default:
		if !keyedCommands[name] {
			return ""
		}
	}
	if at >= len(args) {
		return ""
	}
	key, _ := args[at].(string)
	return key[:min(len(key), maxLoggedKey)]
}
