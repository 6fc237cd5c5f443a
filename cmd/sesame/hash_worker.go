package main

import (
	"os"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/sesame-auth/sesame/internal/password"
)

const hashWorkerName = "hash-worker"

// hashWorker returns the command of a child process that hashes passwords: this program again. It
// is nil if the program does not know where it is.
func hashWorker() []string {
	if runtime.GOOS == "linux" {
		return []string{"/proc/self/exe", hashWorkerName} // also after an update has replaced the file
	}
	path, err := os.Executable()
	if err != nil {
		return nil
	}
	return []string{path, hashWorkerName}
}

// hashWorkerCommand is for serve only.
func hashWorkerCommand() *cobra.Command {
	return &cobra.Command{
		Use:    hashWorkerName,
		Short:  "Hash the passwords that serve sends on standard input",
		Hidden: true,
		Args:   noArguments,
		RunE: func(command *cobra.Command, _ []string) error {
			return password.ServeWorker(command.InOrStdin(), command.OutOrStdout())
		},
	}
}
