package redisclient

import (
	"crypto/tls"
	"errors"
	"fmt"

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
	return redis.IsAuthError(err)
}

// explain adds the remedy to errors that do not name it.
func explain(err error) error {
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return fmt.Errorf("%w; the server does not speak TLS there, want redis:// instead of rediss://", err)
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return fmt.Errorf("%w; SSL_CERT_FILE can name a file with the certificate of your authority", err)
	}
	if redis.IsAuthError(err) {
		return fmt.Errorf("%w; see REDIS_URL, REDIS_USERNAME and REDIS_PASSWORD", err)
	}
	return err
}
