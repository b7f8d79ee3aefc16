package config

import (
	"log/slog"
	"time"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/session"
)

// The settings are in the order of their documentation. A setting is one field, and its tags
// define everything about it: how it is read and checked, its row in docs/reference/settings.md and
// in `broadcaster config`, and the hints for misspelled names.
//
//	env       the name of the variable
//	default   the value if the variable is empty or not set
//	embedded  the default of a server with the embedded Redis, if it differs
//	shown     the default as the documentation has it, if it depends on something else
//	empty     the meaning of a variable that is set but empty, if not the default
//	range     the least and the greatest value of a number or duration, "1..100"
//	oneof     the allowed texts, or those of a bool for false and true
//	form      the form of a text, or of each entry of a list; see forms
//	secret    never shown, and also read from the file that NAME_FILE names
//	doc       the meaning, with {code} for values that users type
//
// The check method of each part checks conditions over several fields, and fills the fields
// without an env tag.

// Redis selects the Redis to use, and the way to use it.
type Redis struct {
	URL            string   `env:"REDIS_URL" shown:"embedded" secret:"true" doc:"{redis://user:password@host:port/db}, {rediss://} (TLS) or {unix://}; empty: an embedded Redis, in memory and for one machine"`
	Host           string   `env:"REDIS_HOST" doc:"host, or path of a socket, instead of the URL's; variables that are set override the URL"`
	Port           int      `env:"REDIS_PORT" default:"6379" range:"1..65535" doc:"port of {REDIS_HOST}, or instead of the URL's"`
	Username       string   `env:"REDIS_USERNAME" doc:"user (ACL)"`
	Password       string   `env:"REDIS_PASSWORD" secret:"true" doc:"password; a file is read again for each connection"`
	DB             int      `env:"REDIS_DB" default:"0" range:"0..1048576" doc:"database number; it separates keys but not channels"`
	MaxConnections int      `env:"REDIS_MAX_CONNECTIONS" default:"10" range:"1..10000" doc:"connections in the pool; subscriptions have further ones"`
	Mode           string   `env:"REDIS_MODE" default:"standalone" oneof:"standalone,sentinel,cluster" doc:"{standalone}, {sentinel} or {cluster}"`
	Addrs          []string `env:"REDIS_ADDRS" doc:"{host:port,…} of the sentinels or of cluster nodes"`
	MasterName     string   `env:"REDIS_MASTER_NAME" doc:"name of the master, with {sentinel}"`
	CAFile         string   `env:"REDIS_CA_FILE" doc:"certificates (PEM) of the authorities that may sign the certificate of Redis, instead of the system's; this or the next two turn TLS on without {rediss://}"`
	CertFile       string   `env:"REDIS_CERT_FILE" doc:"certificate chain (PEM) by which Redis recognizes this client"`
	KeyFile        string   `env:"REDIS_KEY_FILE" doc:"its private key (PEM)"`
	Prefix         string   `env:"REDIS_PREFIX" default:"fx:" form:"prefix" doc:"prefix of every quote key and channel"`
	ConfPath       string   `env:"REDIS_CONF" doc:"path of {redis.conf}, to report differences from the running server"`
	EmbeddedAddr   string   `env:"EMBEDDED_REDIS_ADDR" default:"127.0.0.1:0" doc:"address of the embedded Redis; port 0 takes a free one"`
}

// HTTP holds the settings of the two listeners.
type HTTP struct {
	Addr           string        `env:"HTTP_ADDR" default:":8080" embedded:"127.0.0.1:8080" form:"listen" doc:"public listener"`
	AdminAddr      string        `env:"ADMIN_ADDR" default:"127.0.0.1:9090" empty:"off" form:"listen" doc:"admin API, metrics and pprof; empty: off"`
	TLSCertFile    string        `env:"TLS_CERT_FILE" doc:"certificate chain (PEM) of the public listener"`
	TLSKeyFile     string        `env:"TLS_KEY_FILE" doc:"its private key (PEM)"`
	AdminTokens    AdminTokens   `env:"ADMIN_TOKEN" secret:"true" doc:"bearer tokens of the admin API, a comma list, at least 24 characters each; without a token the API answers 403"`
	PublishTokens  PublishTokens `env:"PUBLISH_TOKEN" secret:"true" doc:"bearer tokens for publishing quotes, a comma list of {token} or {name:token}; the name becomes the source of the quotes"`
	AllowedOrigins Origins       `env:"ALLOWED_ORIGINS" doc:"browser origins allowed in addition to the server's own, {https://*.example.com,capacitor://localhost,null,…}; without a scheme, that of the server"`
	Proxies        Networks      `env:"TRUSTED_PROXIES" doc:"networks of proxies whose {X-Forwarded-For} is trusted, {10.0.0.0/8,…}"`
	Notice         string        `env:"PAGE_NOTICE" doc:"a line of text that the page shows to all visitors"`

	MaxConnections int `env:"MAX_CONNECTIONS" default:"0" range:"0..10000000" doc:"connections of the public listener; 0: as many as the limit of open files allows, less a reserve of a quarter, at most 256"`
	MaxPerAddress  int `env:"MAX_CONNECTIONS_PER_ADDRESS" default:"200" range:"1..10000000" doc:"connections of one address (IPv6: one /64), except those of {RATE_EXEMPT}; behind {TRUSTED_PROXIES} the forwarded address counts, from its request on; if not set, at most half of {MAX_CONNECTIONS}"`
}

// Feed holds the settings of quotes.
type Feed struct {
	QuoteTTL     time.Duration `env:"QUOTE_TTL" default:"60s" range:"100ms..8784h" doc:"how long the last quote of a symbol is current, at most"`
	StaleAfter   time.Duration `env:"STALE_AFTER" default:"10s" range:"10ms..8784h" doc:"time without a tick after which a symbol is marked stale"`
	HistoryTicks int           `env:"HISTORY_TICKS" default:"1000" range:"0..1000000" doc:"ticks kept per symbol; the newest is kept in any case"`
	Inbox        string        `env:"FEED_INBOX" default:"forex_updates" form:"channel" doc:"Redis channel on which any producer may publish JSON"`
	Stream       string        `env:"FEED_STREAM" default:"forex_stream" empty:"off" form:"key" doc:"Redis stream to which any producer may add quotes ({XADD}), each of which is settled exactly once; deployments that share a Redis differ in it; empty: off"`
	Base         string        `env:"FEED_BASE" default:"EUR" doc:"base currency of a message that names only one currency"`
	Channels     []string      `env:"FEED_CHANNELS" form:"channel" doc:"further Redis channels whose messages clients get unchanged, {news,alerts}"`
	Replicated   bool          `env:"PUBLISH_ACK" default:"accepted" oneof:"accepted,replicated" doc:"when a published quote is answered: {accepted}, or {replicated}, once a replica of Redis has it too, at most 1 s later"`
	SourceList   []string      `env:"FEED_SOURCES" doc:"sources by priority, best first, {main:2s,backup:5s,*}: quotes of a later source are accepted only after each earlier one has been silent on the symbol for its limit (default {STALE_AFTER}); {*} at the end accepts all other sources, which are otherwise rejected; the same on all nodes and producers"`

	Key string `env:"FEED_KEY" secret:"true" doc:"key of the vendor, for {broadcaster feed connect}; instead of its {--key-file}"`

	Listing   string   `env:"INSTRUMENTS" doc:"symbols in addition to pairs of the built-in codes (ISO 4217, XAU, XAG, XPT, XPD, CNH), and properties of symbols, as JSON or the path of a JSON file: for a symbol, such as {BTC/USD}, an object of {digits}, {pip}, {aliases}, {hours}, {max_jump}, {max_spread}; the same on all nodes and producers"`
	Suffixes  []string `env:"FEED_SUFFIXES" form:"suffix" doc:"endings that producers may add to symbols, {.m,#,.FXCM}"`
	Holidays  Dates    `env:"HOLIDAYS" doc:"holidays of the spot market, {2026-12-25,2027-01-01}: the market is closed from 17:00 New York on the day before until 17:00 on that day"`
	MaxJump   Limits   `env:"GATE_MAX_JUMP" default:"2%,10%" doc:"greatest distance of a price from the last accepted one: for pairs of two G10 currencies, and for all other symbols; {2%} or {200bp}, 0: no limit"`
	MaxSpread Limits   `env:"GATE_MAX_SPREAD" default:"2%,10%" doc:"greatest spread between bid and ask, in the same form"`

	GateConfirm int           `env:"GATE_CONFIRM" default:"3" range:"1..1000" doc:"number of agreeing prices in a row of one source, beyond {GATE_MAX_JUMP}, that confirm a jump; also the number of accepted prices that make the last one firm"`
	MaxGap      Limit         `env:"GATE_MAX_GAP" default:"50%" doc:"distance from a firm last price beyond which quotes are refused until {POST /api/v1/feed/reference}; 0: no limit"`
	MaxLag      time.Duration `env:"FEED_MAX_LAG" default:"5s" range:"0s..8784h" doc:"greatest age of a quote, measured from the newest accepted quote of its symbol; 0s: no limit, for a replay of old times"`
	LastKnown   time.Duration `env:"LAST_KNOWN_TTL" default:"168h" range:"1s..87840h" doc:"how long the last price of a symbol stays known, as stale or closed, and counts for these limits; then the symbol leaves the list"`

	Candles Candles `env:"CANDLES" default:"1m:72h,1h:60d,1d:5y" doc:"intervals whose candles are kept, and for how long, in {m}, {h}, {d} or {y}; {1m} must be among them, and the others of {1m,5m,15m,1h,4h,1d} are made from these; {off}: no candles and no day figures; the same on all nodes and producers"`

	Sources     feed.Priorities   // parsed from SourceList; in the zero value all sources are equal
	Instruments *feed.Instruments // made of the five above
}

// Session holds the settings of sessions and roles.
type Session struct {
	CookieName       string        `env:"SESSION_COOKIE_NAME" default:"session_id" form:"cookie" doc:"name of the session cookie"`
	TTL              time.Duration `env:"SESSION_TTL" default:"1h" range:"1s..8784h" doc:"time without activity after which a session ends"`
	AbsoluteTTL      time.Duration `env:"SESSION_ABSOLUTE_TTL" default:"24h" range:"1s..8784h" doc:"time after which a session ends in any case"`
	AutoExtend       bool          `env:"SESSION_AUTO_EXTEND" default:"true" doc:"whether activity extends a session"`
	Grace            time.Duration `env:"SESSION_GRACE" default:"60s" range:"1s..24h" doc:"time for which sockets stay open while Redis is lost and their sessions cannot be checked"`
	Guests           bool          `env:"GUEST_SESSIONS" default:"false" embedded:"true" doc:"whether anyone may get a guest session"`
	GuestTTL         time.Duration `env:"GUEST_SESSION_TTL" default:"10m" range:"1s..24h" doc:"time without activity after which a guest session ends; shorter than {SESSION_TTL}, so that a full Redis evicts guests first; if not set, at most {SESSION_TTL}"`
	GuestsPerMinute  int           `env:"GUEST_RATE_PER_MINUTE" default:"60" range:"1..1000000000" doc:"new guests per minute of one address"`
	GuestMax         int           `env:"GUEST_MAX" default:"100000" range:"1..1000000000" doc:"guests in all, over all nodes"`
	GuestConnections int           `env:"GUEST_CONNECTIONS_PER_ADDRESS" default:"100" range:"1..1000000" doc:"connections of all guests behind one address, over all nodes"`
	RoleTable        string        `env:"ROLES" doc:"rights and limits of each role, as JSON or the path of a JSON file: {symbols}, {channels}, {modes}, {max_rate}, {max_symbols}, {max_connections}, {rate} ({per_minute}, {per_hour}, {per_day})"`

	Roles session.Roles // parsed from RoleTable; values that it leaves out come from WS_*, GUEST_* and RATE_*
}

// Rate holds the limits of requests and of publishing.
type Rate struct {
	PerMinute        int      `env:"RATE_PER_MINUTE" default:"60" range:"1..1000000000" doc:"HTTP requests and WebSocket connects per minute of one user or address"`
	PerHour          int      `env:"RATE_PER_HOUR" default:"1000" range:"1..1000000000" doc:"the same, per hour"`
	PerDay           int      `env:"RATE_PER_DAY" default:"10000" range:"1..1000000000" doc:"the same, per day"`
	DryRun           bool     `env:"RATE_DRY_RUN" default:"false" doc:"{true}: refuse nothing, only count the requests that would have been refused"`
	Exempt           Networks `env:"RATE_EXEMPT" doc:"addresses and networks of clients without limits on requests, and on connections of one address"`
	OnRedisDown      string   `env:"RATE_ON_REDIS_DOWN" default:"local" oneof:"local,allow,deny" doc:"while Redis is lost: {local} (the same limits, counted in memory), {allow} or {deny}"`
	PublishPerSecond int      `env:"PUBLISH_RATE_PER_SECOND" default:"20000" range:"1..1000000000" doc:"quotes per second of one publish token"`
}

// WS holds the settings of WebSocket connections.
type WS struct {
	CommandsPerSecond     int           `env:"WS_COMMANDS_PER_SECOND" default:"10" range:"1..1000000" doc:"commands per second of one connection"`
	MaxSymbols            int           `env:"WS_MAX_SYMBOLS" default:"200" range:"1..100000" doc:"subscriptions of one connection; a wildcard counts as one"`
	MaxConnectionsPerUser int           `env:"WS_MAX_CONNECTIONS_PER_USER" default:"20" range:"1..1000000" doc:"connections of one user, over all nodes"`
	Heartbeat             time.Duration `env:"WS_HEARTBEAT" default:"1s" range:"10ms..1h" doc:"longest time without a message on a connection"`
	Ping                  time.Duration `env:"WS_PING" default:"20s" range:"10ms..1h" doc:"interval of pings"`
	WriteTimeout          time.Duration `env:"WS_WRITE_TIMEOUT" default:"10s" range:"10ms..1h" doc:"time after which a connection is closed when its client reads nothing"`
	Compression           bool          `env:"WS_COMPRESSION" default:"off" oneof:"off,on" doc:"{on}: offer permessage-deflate"`
	DrainDelay            time.Duration `env:"DRAIN_DELAY" default:"0s" range:"0s..1h" doc:"time from SIGTERM for which readiness is red and all else goes on, so that load balancers send clients elsewhere"`
	DrainTimeout          time.Duration `env:"DRAIN_TIMEOUT" default:"20s" range:"0s..1h" doc:"time over which a shutdown then moves clients away, evenly"`
}

// Log holds the settings of the log on standard error.
type Log struct {
	Level  slog.Level `env:"LOG_LEVEL" default:"info" doc:"{debug}, {info}, {warn} or {error}"`
	Format string     `env:"LOG_FORMAT" shown:"json (text on a terminal)" oneof:"json,text" doc:"{json} or {text}, on standard error"`
}
