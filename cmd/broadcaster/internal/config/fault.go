package config

import (
	"slices"
	"strconv"
	"strings"
)

// Faults is what is wrong with the environment: one sentence per fault that
// begins with the variable's name, says what would be right and never holds a
// secret.
type Faults []string

func (f Faults) Error() string { return strings.Join(f, "\n") }

// A checker collects faults.
type checker struct {
	faults Faults
	unread map[string]bool // variables that could not even be read: they are not judged
}

// unreadable adds that a value is not one of its type.
func (k *checker) unreadable(name, value, want string) {
	k.fault(name, value, want)
	k.unread[name] = true
}

// fault adds what is wrong with the value of a variable. Values that could hold a
// secret by mistake (an address with a password in it) are left out.
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

// say is fault for what has no value to show.
func (k *checker) say(name, text string) {
	if !k.unread[name] {
		k.faults = append(k.faults, name+": "+text)
	}
}
