package redisadmin

import (
	"fmt"
	"strconv"
	"strings"
)

// Bounds of what is shown of one command.
const (
	maxShownKeys = 3
	maxShownText = 160
	maxShownWord = 40
)

// keyed says where the keys of commands are: the first and the last, and the
// step from one to the next. A last key below 0 counts from the end. Positions
// are those of COMMAND in Redis 7.0; a command that is not here shows nothing
// but its name.
var keyed = func() map[string][3]int {
	table := map[string][3]int{}
	for _, row := range []struct {
		first, last, step int
		names             string
	}{
		{0, 0, 0, `acl acl|cat acl|deluser acl|dryrun acl|genpass acl|getuser acl|help acl|list acl|load acl|log acl|save acl|setuser acl|users
			acl|whoami asking auth bgrewriteaof bgsave client client|caching client|getname client|getredir client|help client|id client|info
			client|kill client|list client|no-evict client|no-touch client|pause client|reply client|setinfo client|setname client|tracking
			client|trackinginfo client|unblock client|unpause cluster cluster|addslots cluster|bumpepoch cluster|countkeysinslot
			cluster|delslots cluster|failover cluster|forget cluster|getkeysinslot cluster|info cluster|keyslot cluster|links cluster|meet
			cluster|myid cluster|myshardid cluster|nodes cluster|replicas cluster|replicate cluster|reset cluster|saveconfig cluster|setslot
			cluster|shards cluster|slaves cluster|slots command command|count command|docs command|getkeys command|info command|list config
			config|get config|help config|resetstat config|rewrite config|set dbsize debug discard echo exec failover flushall flushdb function
			function|delete function|dump function|flush function|kill function|list function|load function|restore function|stats hello info
			keys lastsave latency latency|doctor latency|graph latency|histogram latency|history latency|latest latency|reset lolwut memory
			memory|doctor memory|malloc-stats memory|purge memory|stats module module|list module|load module|loadex module|unload monitor multi
			object object|help ping psync pubsub pubsub|channels pubsub|numpat pubsub|numsub pubsub|shardchannels pubsub|shardnumsub quit
			randomkey readonly readwrite replconf replicaof reset role save scan script script|debug script|exists script|flush script|kill
			script|load select shutdown slaveof slowlog slowlog|get slowlog|help slowlog|len slowlog|reset swapdb sync time unwatch wait waitaof
			xgroup xinfo`},
		{1, -1, 1, "del exists mget pfcount pfmerge psubscribe punsubscribe sdiff sdiffstore sinter sinterstore ssubscribe subscribe sunion sunionstore sunsubscribe touch unlink unsubscribe watch"},
		{1, -1, 2, "mset msetnx"},
		{1, -2, 1, "blpop brpop bzpopmax bzpopmin"},
		{1, 1, 1, `append bitcount bitfield bitfield_ro bitpos decr decrby dump expire expireat expiretime geoadd geodist geohash geopos georadius
			georadius_ro georadiusbymember georadiusbymember_ro geosearch get getbit getdel getex getrange getset hdel hexists hexpire hget hgetall
			hgetdel hgetex hincrby hincrbyfloat hkeys hlen hmget hmset hpexpire hrandfield hscan hset hsetex hsetnx hstrlen httl hvals incr incrby
			incrbyfloat lindex linsert llen lpop lpos lpush lpushx lrange lrem lset ltrim move persist pexpire pexpireat pexpiretime pfadd psetex
			pttl publish restore restore-asking rpop rpush rpushx sadd scard set setbit setex setnx setrange sismember smembers smismember sort
			sort_ro spop spublish srandmember srem sscan strlen substr ttl type xack xadd xautoclaim xclaim xdel xlen xpending xrange xrevrange
			xsetid xtrim zadd zcard zcount zdiffstore zincrby zinterstore zlexcount zmscore zpopmax zpopmin zrandmember zrange zrangebylex
			zrangebyscore zrank zrem zremrangebylex zremrangebyrank zremrangebyscore zrevrange zrevrangebylex zrevrangebyscore zrevrank zscan
			zscore zunionstore`},
		{1, 2, 1, "blmove brpoplpush copy geosearchstore lcs lmove rename renamenx rpoplpush smove zrangestore"},
		{2, -1, 1, "bitop"},
		{2, 2, 1, "memory|usage object|encoding object|freq object|idletime object|refcount xgroup|create xgroup|createconsumer xgroup|delconsumer xgroup|destroy xgroup|setid xinfo|consumers xinfo|groups xinfo|stream"},
		{3, 3, 1, "migrate"},
		// The number of keys comes before them; the first number is where it stands.
		{1, 0, 0, "sintercard zdiff zinter zintercard zunion lmpop zmpop"},
		{2, 0, 0, "blmpop bzmpop eval eval_ro evalsha evalsha_ro fcall fcall_ro"},
		// After the word STREAMS, as many keys as ids.
		{0, -1, 0, "xread xreadgroup"},
	} {
		for name := range strings.FieldsSeq(row.names) {
			table[name] = [3]int{row.first, row.last, row.step}
		}
	}
	return table
}()

// commandName returns the lower-case name of a command, "config|get" for a
// subcommand, and how many arguments the name takes up; "" if it is not a known one.
func commandName(args []string) (name string, words int) {
	if len(args) == 0 || len(args[0]) > maxShownWord {
		return "", 0
	}
	name = strings.ToLower(args[0])
	if _, ok := keyed[name]; !ok {
		return "", 0
	}
	if len(args) > 1 && len(args[1]) <= maxShownWord {
		sub := name + "|" + strings.ToLower(args[1])
		if _, ok := keyed[sub]; ok {
			return sub, 2
		}
	}
	return name, 1
}

// leftOut parts the arguments from the mark of how many more there were, as the
// slow log puts it last.
func leftOut(args []string) (rest []string, more int) {
	if len(args) < 2 {
		return args, 0
	}
	mark, found := strings.CutPrefix(args[len(args)-1], "... (")
	number, ends := strings.CutSuffix(mark, " more arguments)")
	more, err := strconv.Atoi(number)
	if !found || !ends || err != nil || more < 1 || more >= 1<<31 {
		return args, 0
	}
	return args[:len(args)-1], more
}

// keysOf returns the keys, or channels, of a command, without those that were
// left out.
func keysOf(args []string) []string {
	name, _ := commandName(args)
	spec, ok := keyed[name]
	if !ok {
		return nil
	}
	first, last, step := spec[0], spec[1], spec[2]
	switch {
	case first == 0 && last == 0:
		return nil
	case first == 0:
		for i, arg := range args {
			if i > 0 && strings.EqualFold(arg, "streams") {
				rest := args[i+1:]
				return rest[:(len(rest)+1)/2]
			}
		}
		return nil
	case last == 0:
		if first >= len(args) {
			return nil
		}
		count, err := strconv.Atoi(args[first])
		rest := args[first+1:]
		if err != nil || count < 0 {
			return nil
		}
		return rest[:min(count, len(rest))]
	}
	if last < 0 {
		last += len(args)
	}
	var keys []string
	for i := first; i <= last && i < len(args); i += step {
		keys = append(keys, args[i])
	}
	return keys
}

// conceal returns a command as it may be shown: its name, the prefixes of its
// keys, and how many arguments there are besides. No value is shown, since any
// of them may be a password, a token or somebody's data; of CONFIG the names of
// the settings are.
func conceal(args []string) string {
	args, more := leftOut(args)
	name, words := commandName(args)
	if name == "" {
		return hiddenArguments("(unknown command)", len(args)-1+more)
	}
	var b strings.Builder
	b.WriteString(strings.ToUpper(strings.ReplaceAll(name, "|", " ")))
	shown := words
	switch name {
	case "config|get":
		for _, arg := range args[words:] {
			shown += writeWord(&b, arg)
		}
	case "config|set":
		for i := words; i < len(args); i += 2 {
			shown += writeWord(&b, args[i])
		}
	default:
		for i, key := range keysOf(args) {
			if i == maxShownKeys || b.Len() > maxShownText-2*maxShownWord {
				break
			}
			b.WriteString(" " + keyPrefix(key))
			shown++
		}
	}
	return hiddenArguments(b.String(), len(args)-shown+more)
}

// writeWord writes the name of a setting, unless it is something else.
func writeWord(b *strings.Builder, word string) int {
	if b.Len() > maxShownText-2*maxShownWord || len(word) > maxShownWord || strings.Trim(strings.ToLower(word), "abcdefghijklmnopqrstuvwxyz-_*") != "" {
		return 0
	}
	b.WriteString(" " + strings.ToLower(word))
	return 1
}

// hiddenArguments appends how many arguments are not shown.
func hiddenArguments(text string, hidden int) string {
	if hidden > 0 {
		text += fmt.Sprintf(" [%d hidden]", hidden)
	}
	return text
}

// keyPrefix returns what may be shown of a key or channel: of a session the
// word only, of others the part before the first colon. Names that identify
// nobody are shown as they are: those around a pair of currencies, and plain
// words.
func keyPrefix(key string) string {
	for _, prefix := range []string{"session:user:", "session:ticket:", "session:connections:", "session:"} {
		if strings.HasPrefix(key, prefix) {
			return prefix + "…"
		}
	}
	if len(key) <= maxShownWord && impersonal(key) {
		return key
	}
	parts := strings.SplitN(key, ":", 3)
	switch {
	case len(parts) == 3 && parts[0] == "cache" && plainWord(parts[1]):
		return "cache:" + parts[1] + ":…"
	case len(parts) > 1 && plainWord(parts[0]):
		return parts[0] + ":…"
	}
	return "…"
}

// impersonal reports that a name is one plain word, such as forex_updates, or
// is about all symbols or one of them, such as fx:{EUR/USD}:quote.
func impersonal(name string) bool {
	parts := strings.Split(name, ":")
	pairs := 0
	for _, part := range parts {
		pair, open := strings.CutPrefix(part, "{")
		pair, closed := strings.CutSuffix(pair, "}")
		switch {
		case open && closed && len(pair) == 7 && pair[3] == '/' && strings.Trim(pair[:3]+pair[4:], "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == "":
			pairs++
		case !plainWord(part):
			return false
		}
	}
	last := parts[len(parts)-1]
	return pairs > 0 || len(parts) == 1 || last == "symbols" || last == "control"
}

// plainWord reports that a text looks like a name that a programmer gave.
func plainWord(s string) bool {
	return s != "" && len(s) <= 24 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz_-.") == ""
}
