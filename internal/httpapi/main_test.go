package httpapi_test

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/server/servertest"
)

// TestMain fails the suite when a documented response was never seen on one of the engines.
func TestMain(m *testing.M) {
	status := databasetest.Run(m)
	if status == 0 && flag.Lookup("test.run").Value.String() == "" && flag.Lookup("test.fuzz").Value.String() == "" {
		for _, engine := range databasetest.Engines {
			for _, response := range servertest.Document().Unseen(string(engine)) {
				fmt.Fprintf(os.Stderr, "the contract documents %s, which no test saw on %s\n", response, engine)
				status = 1
			}
		}
	}
	os.Exit(status)
}
