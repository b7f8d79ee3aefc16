package config

import (
	"crypto/tls"
	"net/netip"
	"path"
	"strings"
)

func (c *Config) checkHTTP(k *checker) {
	h := &c.HTTP
	if h.AdminAddr != "" && h.AdminAddr == h.Addr && !strings.HasSuffix(h.Addr, ":0") {
		k.fault("ADMIN_ADDR", h.AdminAddr, "want another address than HTTP_ADDR: the admin API is never on the public listener")
	}
	for _, o := range h.AllowedOrigins {
		if _, host, ok := strings.Cut(o, "://"); o == "*" || ok && host == "*" {
			c.warn("ALLOWED_ORIGINS", "* lets the pages of every site use this server")
		}
	}
	for _, p := range h.Proxies {
		if p.Bits() == 0 {
			c.warn("TRUSTED_PROXIES", p.String()+" lets every client choose its own address")
		}
	}
	switch {
	case h.TLSCertFile == "" && h.TLSKeyFile == "":
	case h.TLSCertFile == "":
		k.say("TLS_CERT_FILE", "missing; TLS_KEY_FILE is set and both are needed")
	case h.TLSKeyFile == "":
		k.say("TLS_KEY_FILE", "missing; TLS_CERT_FILE is set and both are needed")
	default:
		if _, err := tls.LoadX509KeyPair(h.TLSCertFile, h.TLSKeyFile); err != nil {
			k.say("TLS_CERT_FILE", "cannot load the certificate and TLS_KEY_FILE: "+err.Error())
		}
	}
}

// Origins are browser origins in lower case: a host or scheme://host, in which * is a wildcard.
type Origins []string

func (origins *Origins) read(name, text string, k *checker) {
	for _, o := range trimmed(strings.ToLower(text)) {
		*origins = append(*origins, o)
		host := o
		if scheme, rest, ok := strings.Cut(o, "://"); ok {
			host = rest
			if scheme != "http" && scheme != "https" {
				k.fault(name, scheme, "want one of http, https")
			}
		}
		if _, err := path.Match(o, ""); err != nil || host == "" || strings.ContainsAny(host, "/@ ") || o == "null" {
			k.fault(name, o, "want a comma list of origins without path, such as https://app.example.com or https://*.example.com")
		}
	}
}

// Networks are masked prefixes; a single address is a network of one.
type Networks []netip.Prefix

func (networks *Networks) read(name, text string, k *checker) {
	for _, s := range trimmed(text) {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			var a netip.Addr
			if a, err = netip.ParseAddr(s); err == nil {
				p, err = a.WithZone("").Prefix(a.BitLen())
			}
		}
		if err != nil {
			k.fault(name, s, "want a comma list of addresses or networks, such as 10.0.0.0/8 or 192.0.2.7")
			continue
		}
		*networks = append(*networks, p.Masked())
	}
}
