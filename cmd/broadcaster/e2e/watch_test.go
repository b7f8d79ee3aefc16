package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"testing"

	"github.com/fxcast/fxcast/protocol"
)

// TestWatch: without a token, `broadcaster watch` shows the prices of a server with guest sessions.
func TestWatch(t *testing.T) {
	t.Parallel()
	p := launch(t, nil) // with an embedded Redis
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := program(ctx, t, nil, "watch", "--url", p.public, "--json", "EUR/*")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for range 3 {
		var q protocol.Quote
		if !lines.Scan() {
			t.Fatalf("the command ended: %v: %s", cmd.Wait(), &errs)
		}
		if err := json.Unmarshal(lines.Bytes(), &q); err != nil || q.Bid == "" || q.Epoch == "" || q.Symbol[:4] != "EUR/" {
			t.Errorf("%s: %v", lines.Text(), err)
		}
	}
	cancel() // as Ctrl-C
	for lines.Scan() {
	}
	if err := cmd.Wait(); err != nil && cmd.ProcessState.ExitCode() != 0 {
		t.Errorf("after Ctrl-C: %v", err)
	}
}
