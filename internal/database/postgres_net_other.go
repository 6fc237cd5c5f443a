//go:build !linux

package database

import "syscall"

// setUserTimeout does nothing: only Linux has TCP_USER_TIMEOUT.
func setUserTimeout(string, string, syscall.RawConn) error { return nil }
