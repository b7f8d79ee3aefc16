package redislink

import (
	"context"
	"slices"

	"github.com/redis/go-redis/v9"
)

// Exec sends the commands of a pipeline and returns the first error. Each command then has its own
// error, even if Redis refused the connection, as after a change of the password or during a long
// script: go-redis reports that for the pipeline only, and leaves its commands with empty values and
// no error.
func Exec(ctx context.Context, pipe redis.Pipeliner) error {
	commands, err := pipe.Exec(ctx)
	if err == nil || slices.ContainsFunc(commands, func(c redis.Cmder) bool { return c.Err() != nil }) {
		return err
	}
	for _, c := range commands {
		c.SetErr(err)
	}
	return err
}
