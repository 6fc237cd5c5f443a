package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/processtest"
)

// The doctor says that its user cannot write the data folder.
func TestDoctorOfAnotherUser(t *testing.T) {
	server := processtest.New(t, databasetest.SQLite)
	server.MustRun(t, "", "migrate")
	data := filepath.Join(server.Folder, "sesame-data")
	command := server.Command(t, "doctor")
	if os.Geteuid() == 0 {
		const nobody = 65534
		command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		for _, folder := range []string{filepath.Dir(server.Binary), filepath.Dir(server.Folder), server.Folder, data} {
			if err := os.Chmod(folder, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	} else if err := os.Chmod(data, 0o500); err != nil {
		t.Fatal(err)
	}
	output, err := command.Output()
	if err == nil || command.ProcessState.ExitCode() != 1 {
		t.Errorf("%v", err)
	}
	for _, text := range []string{
		"error    data-folder", " cannot write " + data, "Run sesame doctor as the user of the server",
	} {
		if !strings.Contains(string(output), text) {
			t.Errorf("not printed: %q\n%s", text, output)
		}
	}
}
