//go:build !unix

package server

import "math"

// maxFiles returns a number without a meaning: the limit is not known here.
func maxFiles() int { return math.MaxInt }
