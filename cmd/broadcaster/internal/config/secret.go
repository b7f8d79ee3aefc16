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

// readSecretFiles sets each secret NAME from the file of NAME_FILE.
func readSecretFiles(vars map[string]string, k *checker) {
	const maxSecretFile = 64 << 10
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
		data, err := readAtMost(path, maxSecretFile+1)
		value := strings.TrimRight(string(data), "\r\n")
		switch {
		case err != nil: // err names the file and the reason
			k.say(file, "cannot be read: "+err.Error())
		case value == "":
			k.say(file, fmt.Sprintf("the file %q is empty; want the value of %s in it", path, name))
		case len(data) > maxSecretFile || strings.ContainsAny(value, "\r\n\x00"):
			k.say(file, fmt.Sprintf("the file %q does not hold one line of text", path))
		default:
			vars[name] = value
			continue
		}
		k.unread[name] = true
	}
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
