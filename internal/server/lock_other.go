//go:build !unix

package server

import "os"

// lockShared locks nothing.
func lockShared(*os.File) (another bool) { return false }

// lockExclusive locks nothing.
func lockExclusive(*os.File) bool { return true }
