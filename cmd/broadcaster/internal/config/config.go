// Package config is what can be set from outside: every setting with its default,
// range and meaning, and the reading of the environment.
package config

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"

	"github.com/fxcast/fxcast/feed"
	"github.com/fxcast/fxcast/session"
)

// Config is everything that can be set from outside, by environment variables
// only. Load makes it; the resolved values (those without an env tag)
// are valid only if it returned no error. The meaning of each variable, as
// users read it, is in config_doc.go.
type Config struct {
	Redis   Redis
	HTTP    HTTP
	Feed    Feed
	Session Session
	Rate    Rate
	WS      WS
	Log     Log

	// Warnings are remarks on the environment that do not stop the program:
	// names that look like a misspelt setting, and settings without effect.
	// They never hold a value.
	Warnings []string

	given map[string]bool // variables that were given and not empty
}

// Redis says which Redis to use and how.
type Redis struct {
	URL            string   `env:"REDIS_URL"`
	Host           string   `env:"REDIS_HOST"`                            // or the path of a unix socket
	Port           int      `env:"REDIS_PORT" envDefault:"6379"`          // used with Host, or to override the URL's
	Username       string   `env:"REDIS_USERNAME"`                        //
	Password       string   `env:"REDIS_PASSWORD"`                        //
	DB             int      `env:"REDIS_DB" envDefault:"0"`               //
	MaxConnections int      `env:"REDIS_MAX_CONNECTIONS" envDefault:"10"` // of one client's pool, without subscribers
	Mode           string   `env:"REDIS_MODE" envDefault:"standalone"`    // standalone, sentinel or cluster
	Addrs          []string `env:"REDIS_ADDRS"`                           // host:port of sentinels or cluster nodes
	MasterName     string   `env:"REDIS_MASTER_NAME"`                     // with sentinel
	Prefix         string   `env:"REDIS_PREFIX" envDefault:"fx:"`         // of quote keys and channels
	EmbeddedAddr   string   `env:"EMBEDDED_REDIS_ADDR" envDefault:"127.0.0.1:0"`
	ConfPath       string   `env:"REDIS_CONF"` // for the drift report; empty = not configured
}

// HTTP is about the two listeners.
type HTTP struct {
	Addr           string   `env:"HTTP_ADDR" envDefault:":8080"` // 127.0.0.1:8080 when embedded
	AdminAddr      string   `env:"ADMIN_ADDR" envDefault:"127.0.0.1:9090"`
	AdminToken     string   `env:"ADMIN_TOKEN"`     // read AdminTokens instead
	PublishToken   string   `env:"PUBLISH_TOKEN"`   // read PublishTokens instead
	AllowedOrigins []string `env:"ALLOWED_ORIGINS"` // lower case; host or scheme://host, with * patterns
	TrustedProxies []string `env:"TRUSTED_PROXIES"` // read Proxies instead
	TLSCertFile    string   `env:"TLS_CERT_FILE"`   // both or none
	TLSKeyFile     string   `env:"TLS_KEY_FILE"`

	AdminTokens   []string       // each at least minToken characters; empty: the admin API answers 403
	PublishTokens []PublishToken // empty: publishing over HTTP answers 403
	Proxies       []netip.Prefix // masked
}

// PublishToken lets its bearer publish quotes. Name is the source of these
// quotes, or empty if the token has none.
type PublishToken struct{ Name, Token string }

// Feed is about quotes.
type Feed struct {
	QuoteTTL     time.Duration `env:"QUOTE_TTL" envDefault:"60s"`
	StaleAfter   time.Duration `env:"STALE_AFTER" envDefault:"10s"`
	HistoryTicks int           `env:"HISTORY_TICKS" envDefault:"1000"` // per symbol
	Inbox        string        `env:"FEED_INBOX" envDefault:"forex_updates"`
	Base         string        `env:"FEED_BASE" envDefault:"EUR"`
	Channels     []string      `env:"FEED_CHANNELS"`
	SourceList   []string      `env:"FEED_SOURCES"` // read Sources instead

	Sources feed.Priorities // the zero value: all sources are equal
}

// Session is about sessions and who may do what in one.
type Session struct {
	CookieName  string        `env:"SESSION_COOKIE_NAME" envDefault:"session_id"`
	TTL         time.Duration `env:"SESSION_TTL" envDefault:"1h"`
	AbsoluteTTL time.Duration `env:"SESSION_ABSOLUTE_TTL" envDefault:"24h"`
	AutoExtend  bool          `env:"SESSION_AUTO_EXTEND" envDefault:"true"`
	Grace       time.Duration `env:"SESSION_GRACE" envDefault:"60s"`
	Guests      bool          `env:"GUEST_SESSIONS" envDefault:"false"` // true when embedded
	RoleTable   string        `env:"ROLES"`                             // read Roles instead

	Roles session.Roles // what ROLES leaves out has the numbers of WS_* and RATE_*
}

// Rate holds the limits of requests and of publishing.
type Rate struct {
	PerMinute        int    `env:"RATE_PER_MINUTE" envDefault:"60"`
	PerHour          int    `env:"RATE_PER_HOUR" envDefault:"1000"`
	PerDay           int    `env:"RATE_PER_DAY" envDefault:"10000"`
	PublishPerSecond int    `env:"PUBLISH_RATE_PER_SECOND" envDefault:"20000"` // quotes per token
	OnRedisDown      string `env:"RATE_ON_REDIS_DOWN" envDefault:"local"`      // local, allow or deny
	DryRun           bool   `env:"RATE_DRY_RUN" envDefault:"false"`

	ExemptList []string `env:"RATE_EXEMPT"` // read Exempt instead

	Exempt []netip.Prefix // masked
}

// WS is about WebSocket connections.
type WS struct {
	CommandsPerSecond     int           `env:"WS_COMMANDS_PER_SECOND" envDefault:"10"`
	MaxSymbols            int           `env:"WS_MAX_SYMBOLS" envDefault:"200"`
	MaxConnectionsPerUser int           `env:"WS_MAX_CONNECTIONS_PER_USER" envDefault:"20"` // over all nodes
	Heartbeat             time.Duration `env:"WS_HEARTBEAT" envDefault:"1s"`
	Ping                  time.Duration `env:"WS_PING" envDefault:"20s"`
	WriteTimeout          time.Duration `env:"WS_WRITE_TIMEOUT" envDefault:"10s"`
	DrainTimeout          time.Duration `env:"DRAIN_TIMEOUT" envDefault:"20s"`
	CompressionMode       string        `env:"WS_COMPRESSION" envDefault:"off"` // read Compression instead

	Compression bool
}

// Log is about the log on standard error.
type Log struct {
	Level  slog.Level `env:"LOG_LEVEL" envDefault:"info"`
	Format string     `env:"LOG_FORMAT"` // json or text; empty: text on a terminal, else json
}

// Faults is what is wrong with the environment: one sentence per fault that
// begins with the variable's name, says what would be right and never holds a
// secret.
type Faults []string

func (f Faults) Error() string { return strings.Join(f, "\n") }

// secrets may also be given as the content of the file that NAME_FILE names.
var secrets = []string{"REDIS_URL", "REDIS_PASSWORD", "ADMIN_TOKEN", "PUBLISH_TOKEN"}

// Embedded reports whether no Redis is configured, so that serve brings one.
func (c *Config) Embedded() bool {
	return !c.given["REDIS_URL"] && !c.given["REDIS_HOST"] && !c.given["REDIS_ADDRS"]
}

// Given reports whether a variable was given and is not empty.
func (c *Config) Given(name string) bool { return c.given[name] }

// LogWarnings logs the remarks on the environment.
func (c *Config) LogWarnings(logger *slog.Logger) {
	for _, w := range c.Warnings {
		logger.Warn(w)
	}
}

// Load reads the environment ("NAME=value"). An empty value counts as
// not set, except that an empty ADMIN_ADDR switches that listener off. The
// error is of type Faults and holds every fault there is; the Config returned
// with it is only good for showing.
func Load(environ []string) (Config, error) {
	var c Config
	var faults Faults
	vars := make(map[string]string, len(environ))
	for _, kv := range environ {
		if name, value, ok := strings.Cut(kv, "="); ok {
			vars[name] = value
		}
	}
	_, adminGiven := vars["ADMIN_ADDR"]
	c.Warnings = hints(vars)
	if strings.HasPrefix(vars["REDIS_PORT"], "tcp://") {
		c.Warnings = append(c.Warnings, "REDIS_PORT: ignored, it is a container link (tcp://…) and not a port number")
		delete(vars, "REDIS_PORT")
	}
	faults = append(faults, readSecretFiles(vars)...)
	c.given = map[string]bool{}
	for name, value := range vars {
		if value != "" {
			c.given[name] = true
		}
	}
	groups := reflect.ValueOf(&c).Elem()
	for i := range groups.NumField() {
		if groups.Field(i).Kind() == reflect.Struct {
			faults = append(faults, parseGroup(groups.Field(i), vars)...)
		}
	}
	if c.Embedded() {
		if !c.given["HTTP_ADDR"] {
			c.HTTP.Addr = "127.0.0.1:8080"
		}
		if !c.given["GUEST_SESSIONS"] {
			c.Session.Guests = true
		}
	}
	if adminGiven && vars["ADMIN_ADDR"] == "" {
		c.HTTP.AdminAddr = ""
	}
	faults = append(faults, c.check(faults)...)
	if len(faults) > 0 {
		slices.Sort(faults)
		return c, faults
	}
	return c, nil
}

// parseGroup fills one group of settings. The library's errors name the Go
// field and echo the value, so only the field is taken from them.
func parseGroup(group reflect.Value, vars map[string]string) Faults {
	err := env.ParseWithOptions(group.Addr().Interface(), env.Options{Environment: vars})
	if err == nil {
		return nil
	}
	agg, ok := errors.AsType[env.AggregateError](err)
	if !ok {
		return Faults{"settings: " + err.Error()}
	}
	var faults Faults
	for _, e := range agg.Errors {
		p, ok := errors.AsType[env.ParseError](e)
		if !ok {
			faults = append(faults, "settings: "+e.Error())
			continue
		}
		field, _ := group.Type().FieldByName(p.Name)
		name := field.Tag.Get("env")
		faults = append(faults, fault(name, vars[name], wanted(field.Type)))
	}
	return faults
}

// wanted describes the text form of a type.
func wanted(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return "want a duration with its unit, such as 10s, 1m30s or 24h"
	case t == reflect.TypeFor[slog.Level]():
		return "want debug, info, warn or error"
	case t.Kind() == reflect.Bool:
		return "want true or false"
	default:
		return "want a whole number"
	}
}

// fault words what is wrong with the value of a variable. Values that could
// hold a secret by mistake (an address with a password in it) are left out.
func fault(name, value, want string) string {
	if slices.Contains(secrets, name) || name == "REDIS_USERNAME" || strings.Contains(value, "@") {
		return name + ": " + want
	}
	if len(value) > 64 {
		value = value[:64] + "…"
	}
	return name + ": " + want + ", got " + strconv.Quote(value)
}

// readSecretFiles replaces NAME_FILE by NAME for each secret.
func readSecretFiles(vars map[string]string) (faults Faults) {
	const maxSecretFile = 64 << 10
	for _, name := range secrets {
		file := name + "_FILE"
		path := vars[file]
		if path == "" {
			continue
		}
		if vars[name] != "" {
			faults = append(faults, fmt.Sprintf("%s: set together with %s; set only one of them", file, name))
			continue
		}
		data, err := readAtMost(path, maxSecretFile+1)
		if err != nil {
			// The path error names the file and the reason.
			faults = append(faults, fmt.Sprintf("%s: cannot be read: %v", file, err))
			continue
		}
		value := strings.TrimRight(string(data), "\r\n")
		switch {
		case value == "":
			faults = append(faults, fmt.Sprintf("%s: the file %q is empty; want the value of %s in it", file, path, name))
		case len(data) > maxSecretFile || strings.ContainsAny(value, "\r\n\x00"):
			faults = append(faults, fmt.Sprintf("%s: the file %q does not hold one line of text", file, path))
		default:
			vars[name] = value
		}
	}
	return faults
}

// readAtMost reads the first n bytes of a file.
func readAtMost(path string, n int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, n))
}

// GenerateTokens makes a token of each kind that is not configured and returns
// the new ones, empty where there was one already. Embedded mode needs them
// and shows them once on the terminal; they must never reach the log.
func (c *Config) GenerateTokens() (admin, publish string) {
	if len(c.HTTP.AdminTokens) == 0 {
		admin = rand.Text()
		c.HTTP.AdminTokens = []string{admin}
	}
	if len(c.HTTP.PublishTokens) == 0 {
		publish = rand.Text()
		c.HTTP.PublishTokens = []PublishToken{{Token: publish}}
	}
	return admin, publish
}
