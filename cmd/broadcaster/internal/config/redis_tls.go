package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
	"strings"
)

func (c *Config) checkRedisTLS(k *checker) {
	r := &c.Redis
	switch {
	case !r.OwnTLS():
		return
	case r.CertFile == "" && r.KeyFile != "":
		k.say("REDIS_CERT_FILE", "missing; REDIS_KEY_FILE is set and both are needed")
		return
	case r.KeyFile == "" && r.CertFile != "":
		k.say("REDIS_KEY_FILE", "missing; REDIS_CERT_FILE is set and both are needed")
		return
	}
	name := "REDIS_CA_FILE"
	if r.CAFile == "" {
		name = "REDIS_CERT_FILE"
	}
	switch {
	case c.Embedded():
		c.warn(name, "no effect without REDIS_URL or REDIS_HOST; the embedded Redis is used")
	case strings.HasPrefix(r.URL, "redis://"):
		k.say("REDIS_URL", "want rediss:// (TLS), since "+name+" is set")
	case strings.HasPrefix(r.URL, "unix://") && r.Host == "", strings.HasPrefix(r.Host, "/"):
		k.say(name, "a socket has no TLS; want REDIS_URL=rediss://… or REDIS_HOST, or none of REDIS_CA_FILE, REDIS_CERT_FILE and REDIS_KEY_FILE")
	}
	if _, err := authorities(r.CAFile); err != nil {
		k.say("REDIS_CA_FILE", "cannot load the certificates: "+err.Error())
	}
	if r.CertFile != "" {
		if _, err := tls.LoadX509KeyPair(r.CertFile, r.KeyFile); err != nil {
			k.say("REDIS_CERT_FILE", "cannot load the certificate and REDIS_KEY_FILE: "+err.Error())
		}
	}
}

// OwnTLS reports whether certificates of its own are set for connections to Redis.
func (r *Redis) OwnTLS() bool { return r.CAFile != "" || r.CertFile != "" || r.KeyFile != "" }

// ReadTLS returns base with the certificates of the settings, which it reads from their files.
func (r *Redis) ReadTLS(base *tls.Config) (*tls.Config, error) {
	c := base.Clone()
	var err error
	if c.RootCAs, err = authorities(r.CAFile); err != nil {
		return nil, err
	}
	if r.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(r.CertFile, r.KeyFile)
		if err != nil {
			return nil, err
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// authorities reads certificates of authorities. Without a path it returns nil, the system's.
func authorities(path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, errors.New(path + " has no certificate in PEM form")
	}
	return pool, nil
}
