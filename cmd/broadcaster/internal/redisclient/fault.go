package redisclient

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/redis/go-redis/v9"
)

// permanent reports whether a retry would not help.
func permanent(err error) bool {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return true
	}
	return redis.IsAuthError(err) || remedy(err) != ""
}

// remedies has a remedy by the text of a reply of Redis that a retry would not change.
var remedies = []struct{ reply, remedy string }{
	{"DB index is out of range", "the server has no such database; see REDIS_DB, or the path of REDIS_URL"},
	{"invalid DB index", "the server has no such database; see REDIS_DB, or the path of REDIS_URL"},
	{"certificate required", "the server asks for a client certificate; see REDIS_CERT_FILE and REDIS_KEY_FILE"},
	{"unknown command 'sentinel'", "REDIS_ADDRS names a server that is not a sentinel"},
	{"redis: nil", "no sentinel knows a master of this name; see REDIS_MASTER_NAME"}, // PING has no such reply itself
	{"cluster support disabled", "the server is not part of a cluster; want REDIS_MODE=standalone or REDIS_MODE=sentinel"},
}

// remedy returns the remedy for a reply of Redis, or "".
func remedy(err error) string {
	for _, r := range remedies {
		if strings.Contains(err.Error(), r.reply) {
			return r.remedy
		}
	}
	return ""
}

// errTLSThere and errNoTLSThere name the remedies if one side speaks TLS and the other does not.
var (
	errTLSThere   = errors.New("the server speaks TLS there, want rediss:// instead of redis://, or REDIS_CA_FILE")
	errNoTLSThere = errors.New("the server does not speak TLS there, want redis:// instead of rediss://, and no REDIS_CA_FILE")
)

// mismatch asks a server that ended or ignored the first command whether it speaks TLS, if o does not
// use it, or plain Redis, if o uses TLS. It returns nil if the server does neither, or in doubt.
func mismatch(ctx context.Context, o *redis.Options, err error) error {
	if !errors.Is(err, io.EOF) && !errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, mismatchTimeout)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, cmp.Or(o.Network, "tcp"), o.Addr)
	if err != nil {
		return nil
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	_ = conn.SetDeadline(deadline)
	if o.TLSConfig == nil {
		// Nothing is sent over this connection, so whose certificate it is does not matter.
		if tls.Client(conn, &tls.Config{InsecureSkipVerify: true}).HandshakeContext(ctx) == nil {
			return errTLSThere
		}
		return nil
	}
	first := make([]byte, 1)
	_, _ = io.WriteString(conn, "PING\r\n")
	if _, err := io.ReadFull(conn, first); err == nil && (first[0] == '+' || first[0] == '-') {
		return errNoTLSThere
	}
	return nil
}

// explain adds the remedy to errors that do not name it.
func explain(err error) error {
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return fmt.Errorf("%w; %w", err, errNoTLSThere)
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return fmt.Errorf("%w; SSL_CERT_FILE can name a file with the certificate of your authority", err)
	}
	if redis.IsAuthError(err) {
		return fmt.Errorf("%w; see REDIS_URL, REDIS_USERNAME and REDIS_PASSWORD", err)
	}
	if text := remedy(err); text != "" {
		return fmt.Errorf("%w; %s", err, text)
	}
	return err
}
