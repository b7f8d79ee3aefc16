package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"testing"
)

// A Task is a run that has begun, with the steps of the runner.
type Task struct {
	ID        string       `json:"id"`
	URL       string       `json:"url"`
	Token     string       `json:"token"`
	TicketURL string       `json:"ticket_url"`
	Protocol  string       `json:"protocol"`
	Scale     float64      `json:"scale"`
	Auth      string       `json:"auth"`
	Needs     []string     `json:"needs"`
	Client    []ClientStep `json:"client"`
}

// Start starts the scripted server on a free port of loopback, and returns its address. The server
// serves until stop is called, which returns its error.
func Start() (address string, stop func() error, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- Serve(ctx, l) }()
	return "http://" + l.Addr().String(), func() error {
		cancel()
		return <-served
	}, nil
}

// StartTest starts the scripted server until the test ends, and returns its address.
func StartTest(t testing.TB) (address string) {
	t.Helper()
	address, stop, err := Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	return address
}

// Begin begins a run of a scenario with the scripted server at an address.
func Begin(address, scenario, protocol string) (task Task, err error) {
	text, err := json.Marshal(map[string]string{"scenario": scenario, "protocol": protocol})
	if err != nil {
		return task, err
	}
	resp, err := http.Post(address+"/runs", "application/json", bytes.NewReader(text))
	if err != nil {
		return task, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return task, fmt.Errorf("conformance: the scripted server answered %s", resp.Status)
	}
	return task, json.NewDecoder(resp.Body).Decode(&task)
}
