package redisadmin

import (
	"fmt"
	"strconv"
	"strings"
)

// Bounds of a command as it is shown.
const (
	maxShownKeys = 3
	maxShownText = 160
	maxShownWord = 40
)

// keyPositions are the positions of the first and the last key of each command, and the step from
// one key to the next. A last key below 0 counts from the end. The positions are those of COMMAND
// in Redis 7.0. A command that is missing here is shown as unknown.
var keyPositions = func() map[string][3]int {
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
		// The number of keys precedes them. The first number is the position of that number.
		{1, 0, 0, "sintercard zdiff zinter zintercard zunion lmpop zmpop"},
		{2, 0, 0, "blmpop bzmpop eval eval_ro evalsha evalsha_ro fcall fcall_ro"},
		// After the word STREAMS: first the keys, then as many IDs.
		{0, -1, 0, "xread xreadgroup"},
	} {
		for name := range strings.FieldsSeq(row.names) {
			table[name] = [3]int{row.first, row.last, row.step}
		}
	}
	return table
}()

// commandName returns the lower-case name of a command, "config|get" for a subcommand, and the
// number of arguments that form the name. The name of an unknown command is "".
func commandName(args []string) (name string, words int) {
	if len(args) == 0 || len(args[0]) > maxShownWord {
		return "", 0
	}
	name = strings.ToLower(args[0])
	if _, ok := keyPositions[name]; !ok {
		return "", 0
	}
	if len(args) > 1 && len(args[1]) <= maxShownWord {
		sub := name + "|" + strings.ToLower(args[1])
		if _, ok := keyPositions[sub]; ok {
			return sub, 2
		}
	}
	return name, 1
}

// leftOut splits off the last argument if it is the slow log's mark for arguments that it left out.
// more is their number.
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

// keysOf returns the keys, or channels, among the arguments of a command.
func keysOf(args []string) []string {
	name, _ := commandName(args)
	spec, ok := keyPositions[name]
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

// conceal returns a command without its secrets: its name, the prefixes of its keys, and the number
// of hidden arguments. It hides every value, since any value may be a password, a token or personal
// data. Of CONFIG it shows the names of the settings.
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

// writeWord writes the name of a setting and returns 1. It returns 0 if word cannot be one.
func writeWord(b *strings.Builder, word string) int {
	if b.Len() > maxShownText-2*maxShownWord || len(word) > maxShownWord || strings.Trim(strings.ToLower(word), "abcdefghijklmnopqrstuvwxyz-_*") != "" {
		return 0
	}
	b.WriteString(" " + strings.ToLower(word))
	return 1
}

// hiddenArguments appends the number of hidden arguments.
func hiddenArguments(text string, hidden int) string {
	if hidden > 0 {
		text += fmt.Sprintf(" [%d hidden]", hidden)
	}
	return text
}

// keyPrefix returns the part of a key or channel that may be shown: of a session key the fixed
// words, of others the part before the first colon. Names without personal data are shown whole:
// plain words, and names that contain a currency pair.
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

// impersonal reports whether a name is one plain word, such as forex_updates, or concerns one
// symbol or all of them, such as fx:{EUR/USD}:quote.
func impersonal(name string) bool {
	parts := strings.Split(name, ":")
	pairs := 0
	for _, part := range parts {
		pair, open := strings.CutPrefix(part, "{")
		pair, closed := strings.CutSuffix(pair, "}")
		switch {
		case open && closed && isSymbol(pair):
			pairs++
		case !plainWord(part):
			return false
		}
	}
	last := parts[len(parts)-1]
	return pairs > 0 || len(parts) == 1 || last == "symbols" || last == "control"
}

// isSymbol reports whether s has the form of a symbol, EUR/USD or US30/USDT.
func isSymbol(s string) bool {
	code := func(s string) bool {
		return len(s) >= 2 && len(s) <= 10 && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") == ""
	}
	base, quote, ok := strings.Cut(s, "/")
	return ok && code(base) && code(quote)
}

// plainWord reports whether a text looks like a name that a programmer chose.
func plainWord(s string) bool {
	return s != "" && len(s) <= 24 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz_-.") == ""
}
