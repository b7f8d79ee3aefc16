package redislink_test

import (
	"context"
	"errors"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/internal/redislink"
	"github.com/fxcast/fxcast/internal/redistest"
)

// Each command of a pipeline has an error of its own, whether Redis has refused the connection or a
// command.
func TestExec(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	run := func(client *redis.Client) (err, first, second error) {
		pipe := client.Pipeline()
		get, push := pipe.Get(t.Context(), "missing"), pipe.LPush(t.Context(), "text", 1)
		err = redislink.Exec(t.Context(), pipe)
		return err, get.Err(), push.Err()
	}
	client := server.Client()
	if err := client.Set(t.Context(), "text", "x", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if err, first, second := run(client); !errors.Is(err, redis.Nil) || !errors.Is(first, redis.Nil) || redislink.Code(second) != "WRONGTYPE" {
		t.Errorf("answers: %v; %v, %v", err, first, second)
	}
	refused := redis.NewClient(&redis.Options{Addr: server.Addr(), Username: "nobody", Password: "wrong", MaxRetries: -1})
	t.Cleanup(func() { refused.Close() })
	if err, first, second := run(refused); redislink.Code(err) != "WRONGPASS" || redislink.Code(first) != "WRONGPASS" || redislink.Code(second) != "WRONGPASS" {
		t.Errorf("a wrong password: %v; %v, %v", err, first, second)
	}
	pipe := client.Pipeline()
	if err := redislink.Exec(context.Background(), pipe); err != nil {
		t.Errorf("nothing to send: %v", err)
	}
}
