package config

import (
	"slices"
	"strconv"
	"strings"
)

// Faults lists the faults of an environment. Each is one sentence that begins with the name of the
// variable and describes a valid value. It never contains a secret.
type Faults []string

func (f Faults) Error() string { return strings.Join(f, "\n") }

// A checker collects faults.
type checker struct {
	faults Faults
	unread map[string]bool // variables whose values could not be parsed, so they are not checked further
}

// unreadable adds the fault that a value does not have the type of its setting.
func (k *checker) unreadable(name, value, want string) {
	k.fault(name, value, want)
	k.unread[name] = true
}

// fault adds a fault of a variable's value. It leaves out a value that may contain a secret by
// mistake, such as an address with a password.
func (k *checker) fault(name, value, want string) {
	if slices.Contains(secrets, name) || strings.Contains(value, "@") {
		k.say(name, want)
		return
	}
	if len(value) > 64 {
		value = value[:64] + "…"
	}
	k.say(name, want+", got "+strconv.Quote(value))
}

// lineEnds adds a fault for each setting whose value ends with a newline, which a shell or a file of
// variables has left there. JSON may end with one. It removes the newline, so that there is one fault.
func (k *checker) lineEnds(vars map[string]string) {
	for name, value := range vars {
		plain := strings.TrimRight(value, "\r\n")
		if plain == value || !Known(name) || strings.HasPrefix(strings.TrimSpace(value), "{") {
			continue
		}
		k.say(name, "ends with a newline; want the value without it")
		k.unread[name] = true
		vars[name] = plain
	}
}

// say adds a fault without a value.
func (k *checker) say(name, text string) {
	if !k.unread[name] {
		k.faults = append(k.faults, name+": "+text)
	}
}
