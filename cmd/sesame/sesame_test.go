package main

import (
	"bytes"
	"context"
	"testing"

	"github.com/sesame-auth/sesame/internal/processtest"
)

func TestMain(m *testing.M) { processtest.Main(m) }

// run runs one command in the process of the test.
func run(t *testing.T, environment []string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errOut bytes.Buffer
	status = realMain(context.Background(), args, environment, &out, &errOut)
	return status, out.String(), errOut.String()
}
