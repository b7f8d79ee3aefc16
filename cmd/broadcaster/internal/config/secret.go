package config

import (
	"fmt"
	"io"
	"os"
	"strings"
)

// secrets are the names of the settings whose values are never shown. A secret may also be the
// content of the file that NAME_FILE names.
var secrets = secretNames()

func secretNames() (names []string) {
	for _, s := range settings {
		if s.secret {
			names = append(names, s.name)
		}
	}
	return names
}

// readSecretFiles sets each secret NAME from the file of NAME_FILE, and returns the paths by NAME.
func readSecretFiles(vars map[string]string, k *checker) map[string]string {
	paths := map[string]string{}
	for _, name := range secrets {
		file := name + "_FILE"
		path := vars[file]
		if path == "" {
			continue
		}
		if vars[name] != "" {
			k.say(file, "set together with "+name+"; set only one of them")
			k.unread[name] = true
			continue
		}
		value, err := readSecret(name, path)
		if err != nil {
			k.say(file, err.Error())
			k.unread[name] = true
			continue
		}
		vars[name], paths[name] = value, path
	}
	return paths
}

// SecretFile reads a secret from the file that a flag names. Errors call the secret by name.
func SecretFile(name, path string) (string, error) { return readSecret(name, path) }

// readSecret reads a secret from a file. Errors contain the path and never the content.
func readSecret(name, path string) (string, error) {
	const maxSecretFile = 64 << 10
	data, err := readAtMost(path, maxSecretFile+1)
	value := strings.TrimRight(string(data), "\r\n")
	switch {
	case err != nil: // err names the file and the reason
		return "", fmt.Errorf("cannot be read: %w", err)
	case value == "":
		return "", fmt.Errorf("the file %q is empty; want the value of %s in it", path, name)
	case len(data) > maxSecretFile || strings.ContainsAny(value, "\r\n\x00"):
		return "", fmt.Errorf("the file %q does not hold one line of text", path)
	}
	return value, nil
}

// FromFile reports whether the value of a secret comes from a file.
func (c *Config) FromFile(name string) bool { return c.secretFiles[name] != "" }

// ReadSecret reads a secret that comes from a file again.
func (c *Config) ReadSecret(name string) (string, error) {
	return readSecret(name, c.secretFiles[name])
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
