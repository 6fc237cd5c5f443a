package main

import (
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/processtest"
)

// During the drain delay the server is not ready and accepts requests, and closes each connection
// with its next response. A second signal ends it at once.
func TestDrainDelay(t *testing.T) {
	server := processtest.New(t, databasetest.SQLite, "SESAME_DRAIN_DELAY=5m")
	server.Start(t)
	request := func() (closes bool) {
		t.Helper()
		response, err := http.Get("http://" + server.API + "/.well-known/jwks.json")
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.Copy(io.Discard, response.Body)
		if err != nil || response.Body.Close() != nil || response.StatusCode != http.StatusOK {
			t.Errorf("%s, %v", response.Status, err)
		}
		return response.Close
	}
	if request() {
		t.Error("a response closes the connection before the signal")
	}
	if err := server.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	processtest.Eventually(t, "the server is not ready", func() bool { return !server.IsReady(t.Context()) })
	for range 2 { // on the connection that was kept, and on a new one
		if !request() {
			t.Error("a response does not close the connection")
		}
	}
	if status, _ := processtest.Get(t, "http://"+server.Admin+"/livez"); status != http.StatusOK {
		t.Errorf("livez: %d", status)
	}
	if output, err := server.Stop(t, syscall.SIGINT); err == nil || !strings.Contains(output, "drain delay") {
		t.Errorf("after a second signal: %v\n%s", err, output)
	}
}
