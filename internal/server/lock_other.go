//go:build !unix

package server

import "os"

// lockShared locks nothing.
func lockShared(*os.File) (another bool) { return false }

// lockExclusive locks nothing.
func lockExclusive(*os.File) error { return nil }

// lockAlone locks nothing.
func lockAlone(*os.File) (another bool) { return false }
