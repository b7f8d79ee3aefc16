package node

import (
	"math"
	"testing"

	"github.com/fxcast/fxcast/internal/redistest"
)

// TestMemoryUnknown: what is not known is not shown as empty memory.
func TestMemoryUnknown(t *testing.T) {
	t.Parallel()
	r := redistest.Start(t)
	unlimited := r.Client()
	if used := memoryUsed(t.Context(), unlimited); !math.IsNaN(used) {
		t.Errorf("without maxmemory: %v", used)
	}
	if err := unlimited.ConfigSet(t.Context(), "maxmemory", "100mb").Err(); err != nil {
		t.Fatal(err)
	}
	if used := memoryUsed(t.Context(), unlimited); !(used > 0 && used < 0.2) {
		t.Errorf("with 100 MB: %v", used)
	}
	info, err := unlimited.InfoMap(t.Context(), "memory").Result()
	if err != nil {
		t.Fatal(err)
	}
	if err := unlimited.ConfigSet(t.Context(), "maxmemory", info["Memory"]["used_memory"]).Err(); err != nil {
		t.Fatal(err)
	}
	if used := memoryUsed(t.Context(), unlimited); used < 0.9 || used > 1.1 {
		t.Errorf("full: %v", used)
	}
	r.Kill()
	if used := memoryUsed(t.Context(), unlimited); !math.IsNaN(used) {
		t.Errorf("with the server gone: %v", used)
	}
	embedded, _ := redistest.Embedded(t)
	if used := memoryUsed(t.Context(), embedded); !math.IsNaN(used) {
		t.Errorf("embedded: %v", used)
	}
}
