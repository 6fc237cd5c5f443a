package docs_test

import (
	"os"
	"strings"
	"testing"

	"github.com/sesame-auth/sesame/internal/audit"
)

// docs/monitoring.md lists every kind of event.
func TestAuditKindsAreDocumented(t *testing.T) {
	page, err := os.ReadFile("monitoring.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "\n| kinds |")
	table, _, _ = strings.Cut(table, "\n\n")
	for _, kind := range audit.Kinds {
		if strings.Count(table, "`"+string(kind)+"`") != 1 {
			t.Errorf("%s is not listed once", kind)
		}
	}
}
