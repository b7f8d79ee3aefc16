package fxcast_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestPipelines holds that pipelines are sent by redislink.Exec: commands that are sent otherwise have
// no error if Redis refuses the connection.
func TestPipelines(t *testing.T) {
	sends := regexp.MustCompile(`[\w)]+\.(Exec|Pipelined|TxPipelined)\([^)]`)
	for file := range scan(t).paths {
		if filepath.Ext(file) != ".go" || strings.HasSuffix(file, "_test.go") || file == "internal/redislink/pipeline.go" {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, call := range sends.FindAllString(string(text), -1) {
			if !strings.HasPrefix(call, "redislink.Exec(") {
				t.Errorf("%s: %s…, want redislink.Exec", file, call)
			}
		}
	}
}
