package session

import (
	"context"
	_ "embed" // the scripts
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fxcast/fxcast/internal/redislink"
)

var (
	//go:embed index.lua
	indexSource string
	//go:embed create.lua
	createSource string
	//go:embed write.lua
	writeSource string
	//go:embed revoke.lua
	revokeSource string
	//go:embed lease.lua
	leaseSource string
	//go:embed guests.lua
	guestsSource string

	indexScript  = redis.NewScript(indexSource)
	createScript = redis.NewScript(createSource)
	writeScript  = redis.NewScript(writeSource)
	revokeScript = redis.NewScript(revokeSource)
	leaseScript  = redis.NewScript(leaseSource)
	guestsScript = redis.NewScript(guestsSource)
)

// Codes that the scripts create and write return.
const (
	written = 1
	lost    = 0  // the key is gone or taken, or its value has changed since it was read
	passed  = -1 // the absolute expiry has passed
)

const (
	writeAttempts = 4
	pruneEvery    = 32   // Create prunes a user index when its size is a multiple of this
	readBatch     = 500  // keys in one pipeline that reads or writes values
	checkBatch    = 2500 // keys in one pipeline of PTTL
	revokeBatch   = 100  // ids per notice when a user is signed out, so that the first sockets need not wait for the last

	// A key is written at most indexAge after its id entered the index. An id that leaves the index
	// without a key is blocked for longer than that. So no session is ever missing from its index.
	indexAge = 5 * time.Second
	blockFor = 10 * time.Second

	renewedFor = 30 * time.Second // the life of a tombstone that points to the new session
)

// scriptEach runs a script on the key of each session, as scriptEachKey does.
func (m *Manager) scriptEach(ctx context.Context, script *redis.Script, ids []string, args func(i int) []any) ([]*redis.Cmd, error) {
	keys := make([]string, len(ids))
	for i, id := range ids {
		keys[i] = sessionKey(id)
	}
	return m.scriptEachKey(ctx, script, keys, args)
}

// scriptEachKey runs a script on each key, in one pipeline. args returns the arguments for the
// i-th key. An error means that no script ran. Otherwise each command has its own answer.
func (m *Manager) scriptEachKey(ctx context.Context, script *redis.Script, keys []string, args func(i int) []any) ([]*redis.Cmd, error) {
	out := make([]*redis.Cmd, len(keys))
	for attempt := 0; ; attempt++ {
		pipe := m.rdb.Pipeline()
		for i, key := range keys {
			if out[i] == nil || redislink.Code(out[i].Err()) == "NOSCRIPT" {
				out[i] = script.EvalSha(ctx, pipe, []string{key}, args(i)...)
			}
		}
		err := redislink.Exec(ctx, pipe)
		if attempt == 0 && slices.ContainsFunc(out, func(c *redis.Cmd) bool { return redislink.Code(c.Err()) == "NOSCRIPT" }) {
			if err := script.Load(ctx, m.rdb).Err(); err != nil {
				return nil, err
			}
			continue
		}
		if !slices.ContainsFunc(out, func(c *redis.Cmd) bool { return c.Err() == nil }) {
			return nil, err
		}
		return out, nil
	}
}
