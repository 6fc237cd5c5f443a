package httpapi_test

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/server/servertest"
)

// TestMain fails if a documented response was not seen on each of the engines.
func TestMain(m *testing.M) {
	status := databasetest.Run(m)
	ranAll := flag.Lookup("test.run").Value.String() == "" && flag.Lookup("test.fuzz").Value.String() == ""
	if status == 0 && ranAll {
		for _, engine := range databasetest.Engines {
			for _, response := range servertest.Document().Unseen(string(engine)) {
				fmt.Fprintf(os.Stderr, "the OpenAPI document has %s, which no test saw on %s\n", response, engine)
				status = 1
			}
		}
	}
	os.Exit(status)
}
