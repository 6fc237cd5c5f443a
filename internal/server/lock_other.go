//go:build !unix

package server

import "os"

// lockShared locks nothing.
func lockShared(*os.File) (another bool) { return false }

// lockAlone locks nothing.
func lockAlone(*os.File) (another bool) { return false }
