// Package conformance checks that clients in all languages behave alike. A scripted server plays
// scenarios to a client, which are data, and judges what the client did and reported.
//
// README.md is for authors of clients: it defines scenarios, reports and the rules for clients.
// The files are in the order of a run:
//
//	scenario.go  a scenario, read from its JSON file
//	server.go    the calls of runners: begin a run, ask for its verdict
//	attempt.go   the connects of a client, each with its step of the script
//	script.go    the steps of one connection
//	binary.go    messages of the subprotocol fx.v1.pb
//	line.go      TCP connections that can be frozen and cut
//	judge.go     the verdict
package conformance

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strings"
)

//go:embed *.json
var files embed.FS

// A Scenario is one file of this directory.
type Scenario struct {
	Name        string       `json:"-"` // that of the file
	About       string       `json:"about"`
	Scale       float64      `json:"scale"`
	Auth        string       `json:"auth"`
	Needs       []string     `json:"needs"`
	Connections []Connection `json:"connections"`
	Client      []ClientStep `json:"client"`
	Expect      Expect       `json:"expect"`
}

// A Connection is one connect of the client, or several with the same steps.
type Connection struct {
	Repeat int     `json:"repeat"`
	After  *Bounds `json:"after"` // since the end of the last connection
	Steps  []Step  `json:"steps"`
}

// Bounds are bounds of a time, in ms of the scenario. A maximum of 0 is none.
type Bounds struct {
	MinMS float64 `json:"min_ms"`
	MaxMS float64 `json:"max_ms"`
}

// A Step is one thing that the server does. Exactly one field is set, beside those that belong to
// it.
type Step struct {
	Refuse  int               `json:"refuse"`
	Headers map[string]string `json:"headers"` // with Refuse
	At      string            `json:"at"`      // with Refuse: "upgrade", or the first request
	Hang    bool              `json:"hang"`
	Welcome map[string]any    `json:"welcome"`
	Receive map[string]any    `json:"receive"`
	Ack     map[string]any    `json:"ack"`
	Serve   map[string]any    `json:"serve"`
	Aliases map[string]string `json:"aliases"` // with Serve: the symbols of other names
	Refused map[string]string `json:"refused"` // with Serve: the error codes of symbols
	Send    map[string]any    `json:"send"`
	Ticks   *Ticks            `json:"ticks"`
	Text    string            `json:"text"`
	Binary  []byte            `json:"binary"`
	Big     int               `json:"big"`
	Raw     []byte            `json:"raw"`
	Pause   float64           `json:"pause"`
	Freeze  bool              `json:"freeze"`
	Close   int               `json:"close"`
	Reason  string            `json:"reason"` // with Close
	Cut     bool              `json:"cut"`
	Ended   *Bounds           `json:"ended"`
}

// Ticks are updates with numbered quotes.
type Ticks struct {
	Symbol     string `json:"symbol"`
	From       uint64 `json:"from"`
	To         uint64 `json:"to"`
	Epoch      string `json:"epoch"`
	PerMessage int    `json:"per_message"`
	As         string `json:"as"`
}

// A ClientStep is one thing that the runner makes the client do.
type ClientStep struct {
	Do      string         `json:"do"`
	For     map[string]any `json:"for,omitempty"`
	Name    string         `json:"name,omitempty"`
	Symbols []string       `json:"symbols,omitempty"`
	Mode    string         `json:"mode,omitempty"`
	MaxRate float64        `json:"max_rate,omitempty"`

	Day      bool   `json:"day,omitempty"`
	Interval string `json:"interval,omitempty"` // of candles

	Times int     `json:"times,omitempty"`
	MS    float64 `json:"ms,omitempty"`
}

// Expect lists what the client must report, in order and by kind.
type Expect struct {
	States   []string         `json:"states"` // nil: not judged
	Quotes   []map[string]any `json:"quotes"`
	Gaps     []map[string]any `json:"gaps"`
	Statuses []map[string]any `json:"statuses"`
	Candles  []map[string]any `json:"candles"`
	Days     []map[string]any `json:"days"`
	Errors   []map[string]any `json:"errors"`
	Tickets  int              `json:"tickets"` // asked for; judged if auth is "ticket"
}

// Scenarios returns all scenarios by name, and an error for each file that cannot be read.
func Scenarios() ([]*Scenario, error) {
	entries, err := files.ReadDir(".")
	if err != nil {
		return nil, err
	}
	var all []*Scenario
	var faults []error
	for _, entry := range entries {
		text, err := files.ReadFile(entry.Name())
		if err != nil {
			return nil, err
		}
		s, err := parseScenario(strings.TrimSuffix(path.Base(entry.Name()), ".json"), text)
		if err != nil {
			faults = append(faults, fmt.Errorf("conformance: %s: %w", entry.Name(), err))
			continue
		}
		all = append(all, s)
	}
	return all, errors.Join(faults...)
}

// Lookup returns the scenario of a name.
func Lookup(name string) (*Scenario, error) {
	text, err := files.ReadFile(name + ".json")
	if err != nil {
		return nil, fmt.Errorf("conformance: no scenario %q", name)
	}
	return parseScenario(name, text)
}

func parseScenario(name string, text []byte) (*Scenario, error) {
	s := &Scenario{Name: name, Scale: 0.1, Auth: "token"}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(s); err != nil {
		return nil, err
	}
	if s.About == "" || s.Scale <= 0 || s.Auth != "token" && s.Auth != "ticket" || len(s.Connections) == 0 {
		return nil, errors.New(`want "about", a "scale" above 0, the "auth" token or ticket, and "connections"`)
	}
	for i, c := range s.Connections {
		for j, step := range c.Steps {
			if n := step.kinds(); n != 1 {
				return nil, fmt.Errorf("connection %d, step %d does %d things, want 1", i+1, j+1, n)
			}
		}
	}
	for i, step := range s.Client {
		switch step.Do {
		case "wait", "subscribe", "candles", "unsubscribe", "churn", "pause", "close":
		default:
			return nil, fmt.Errorf("step %d of the client: unknown %q", i+1, step.Do)
		}
	}
	return s, nil
}

// kinds returns the number of things that a step does.
func (s Step) kinds() (n int) {
	for _, set := range []bool{
		s.Refuse != 0, s.Hang, s.Welcome != nil, s.Receive != nil, s.Ack != nil, s.Serve != nil, s.Send != nil, s.Ticks != nil, s.Text != "",
		s.Binary != nil, s.Big != 0, s.Raw != nil, s.Pause != 0, s.Freeze, s.Close != 0, s.Cut, s.Ended != nil,
	} {
		if set {
			n++
		}
	}
	return n
}

// connections returns one Connection per connect.
func (s *Scenario) connections() (each []Connection) {
	for _, c := range s.Connections {
		for range max(1, c.Repeat) {
			each = append(each, c)
		}
	}
	return each
}
