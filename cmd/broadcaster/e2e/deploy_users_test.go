package e2e

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"
)

// TestUsers tries each user of deploy/users.acl.
func TestUsers(t *testing.T) {
	t.Parallel()
	d := startDeployed(t, "FEED_CHANNELS=news,alerts.fx")
	const yes, no = true, false
	for _, tc := range []struct {
		user, command string
		want          bool
	}{
		// A producer hands in quotes and does nothing else.
		{"producer", "PUBLISH forex_updates {}", yes},
		{"producer", "XADD forex_stream MAXLEN ~ 100000 * data {}", yes},
		{"producer", "XADD other * data {}", no},
		{"producer", "XRANGE forex_stream - +", no},
		{"producer", "XLEN forex_stream", no},
		{"producer", "DEL forex_stream", no},
		{"producer", "PING", yes},
		{"producer", "PUBLISH fx:{EUR/USD} {}", no},
		{"producer", "PUBLISH fx:control {}", no},
		{"producer", "PUBLISH news {}", no},
		{"producer", "SPUBLISH fx:{EUR/USD} {}", no},
		{"producer", "SUBSCRIBE forex_updates", no},
		{"producer", "GET session:x", no},
		{"producer", "SET fx:{EUR/USD}:quote 1", no},
		{"producer", "SET a 1", no},
		{"producer", "SCAN 0", no},
		{"producer", "INFO", no},
		{"producer", "CONFIG GET maxmemory", no},
		{"producer", "EVAL return(1) 0", no},
		{"producer", "CLIENT LIST", no},

		// The broadcaster has its own keys and channels, and looks at the server.
		{"broadcaster", "SET fx:a 1", yes},
		{"broadcaster", "SET session:a 1", yes},
		{"broadcaster", "SADD session:user:a 1", yes},
		{"broadcaster", "SET ratelimit:{a} 1", yes},
		{"broadcaster", "SET cache:default:0:a 1", yes},
		{"broadcaster", "XADD fx:{EUR/USD}:ticks * q 1", yes},
		{"broadcaster", "XRANGE forex_stream - +", yes},
		{"broadcaster", "XREAD COUNT 1 STREAMS forex_stream 0", yes},
		{"broadcaster", `EVAL "return redis.call('xinfo','STREAM',KEYS[1])" 1 forex_stream`, yes},
		{"broadcaster", "UNLINK cache:default:0:a", yes},
		{"broadcaster", "SCAN 0 MATCH cache:*", yes},
		{"broadcaster", "PUBLISH fx:{EUR/USD} {}", yes},
		{"broadcaster", "SPUBLISH fx:{EUR/USD} {}", yes},
		{"broadcaster", "PUBLISH forex_updates {}", yes},
		{"broadcaster", "SUBSCRIBE fx:{EUR/USD} forex_updates news alerts.fx __keyevent@0__:del __keyevent@3__:expired", yes},
		{"broadcaster", "SSUBSCRIBE fx:{EUR/USD}", yes},
		{"broadcaster", "PSUBSCRIBE fx:*", yes},
		{"broadcaster", "PSUBSCRIBE *", no},
		{"broadcaster", "SUBSCRIBE other", no},
		{"broadcaster", "PUBLISH other {}", no},
		{"broadcaster", "GET other", no},
		{"broadcaster", "SET other 1", no},
		{"broadcaster", "DEL other", no},
		{"broadcaster", `EVAL "return redis.call('get',KEYS[1])" 1 fx:a`, yes},
		{"broadcaster", `EVAL "return redis.call('get',KEYS[1])" 1 other`, no},
		{"broadcaster", "MEMORY USAGE other", yes}, // bytes by kind of key
		{"broadcaster", "MEMORY USAGE session:a", yes},
		{"broadcaster", "INFO", yes},
		{"broadcaster", "CONFIG GET maxmemory", yes},
		{"broadcaster", "SLOWLOG GET 10", yes},
		{"broadcaster", "LATENCY LATEST", yes},
		{"broadcaster", "CLIENT LIST", yes},
		{"broadcaster", "DBSIZE", yes},
		{"broadcaster", "PUBSUB NUMSUB fx:control", yes},
		{"broadcaster", "CONFIG SET maxmemory 1", no},
		{"broadcaster", "CONFIG REWRITE", no},
		{"broadcaster", "KEYS *", no},
		{"broadcaster", "ACL LIST", no},
		{"broadcaster", "CLIENT KILL TYPE normal", no},
		{"broadcaster", "MONITOR", no},
		{"broadcaster", "SHUTDOWN", no},
		{"broadcaster", "FUNCTION LOAD x", no},
		{"broadcaster", "REPLICAOF no one", no},
		{"broadcaster", "SCRIPT FLUSH", no},
		{"broadcaster", "FUNCTION FLUSH", no},
		{"broadcaster", "SWAPDB 0 1", no},

		// The monitor sees how the server does, and no value.
		{"monitor", "INFO commandstats", yes},
		{"monitor", "CLIENT LIST", yes},
		{"monitor", "SLOWLOG GET 10", yes},
		{"monitor", "LATENCY LATEST", yes},
		{"monitor", "LATENCY HISTORY command", yes},
		{"monitor", "MEMORY USAGE session:a", yes},
		{"monitor", "MEMORY STATS", yes},
		{"monitor", "SCAN 0", yes},
		{"monitor", "TYPE session:a", yes},
		{"monitor", "CONFIG GET *", yes},
		{"monitor", "MONITOR", yes},
		{"monitor", "DBSIZE", yes},
		{"monitor", "PING", yes},
		{"monitor", "PUBSUB CHANNELS", yes},
		{"monitor", "PUBSUB NUMPAT", yes},
		{"monitor", "PUBSUB SHARDCHANNELS", yes},
		{"monitor", "CLUSTER INFO", yes},
		{"monitor", "ROLE", yes},
		{"monitor", "GET session:a", no},
		{"monitor", "SMEMBERS session:user:a", no},
		{"monitor", "SET session:a 1", no},
		{"monitor", "DEL session:a", no},
		{"monitor", "CONFIG SET maxmemory 1", no},
		{"monitor", "CONFIG RESETSTAT", no},
		{"monitor", "SLOWLOG RESET", no},
		{"monitor", "LATENCY RESET", no},
		{"monitor", "CLIENT KILL TYPE normal", no},
		{"monitor", "PUBLISH forex_updates {}", no},
		{"monitor", "SUBSCRIBE fx:{EUR/USD}", no},
		{"monitor", "EVAL return(1) 0", no},
		{"monitor", "ACL LIST", no},
		{"monitor", "SHUTDOWN", no},
	} {
		if reply := d.say(tc.user, tc.command); strings.HasPrefix(reply, "-NOPERM") == tc.want || tc.want && strings.HasPrefix(reply, "-ERR unknown") {
			t.Errorf("%s: %s: allowed should be %v, got %s", tc.user, tc.command, tc.want, reply)
		}
	}
}

// say sends one command on a connection of its own and returns the first line
// of the answer as it is on the wire.
func (d *deployedRedis) say(user, command string) string {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), patience)
	defer cancel()
	var dialer net.Dialer
	c, err := dialer.DialContext(ctx, "tcp", "127.0.0.1:"+d.port)
	if err != nil {
		d.t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	if _, err := c.Write([]byte("AUTH " + user + " " + d.secret("redis_"+user+"_password") + "\r\n" + command + "\r\n")); err != nil {
		d.t.Fatal(err)
	}
	b := make([]byte, 4096)
	got := ""
	for strings.Count(got, "\n") < 2 {
		n, err := c.Read(b)
		if err != nil {
			d.t.Fatalf("%s: %q, %v", command, got, err)
		}
		got += string(b[:n])
	}
	lines := strings.SplitN(got, "\r\n", 3)
	if lines[0] != "+OK" {
		d.t.Fatalf("%s cannot sign in: %s", user, lines[0])
	}
	return lines[1]
}
