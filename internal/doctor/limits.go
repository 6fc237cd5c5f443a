package doctor

import (
	"context"
	"fmt"

	"github.com/sesame-auth/sesame/internal/server"
)

const (
	// fewConnections is how few connections of the API a small application may use up.
	fewConnections = 256
	// serverMemory and hasherMemory are how much memory a server and each process that hashes
	// passwords take under load: see docs/monitoring.md.
	serverMemory, hasherMemory = 105 << 20, 32 << 20
)

// checkOpenFiles checks the limit of open files, which limits the connections of the API.
func checkOpenFiles(_ context.Context, e *examination) Finding {
	allowed, whose := server.MaxConnections(), "a server with the limits of this command"
	if e.running != nil && e.running.maxConnections > 0 {
		allowed, whose = e.running.maxConnections, "the running server"
	}
	detail := fmt.Sprintf("%s accepts up to %d connections", whose, allowed)
	if allowed < fewConnections {
		return warn("Raise the limit of open files to 8192 or more: LimitNOFILE= of systemd, or ulimit -n.",
			"%s, because the process may open few files", detail)
	}
	return ok("%s", detail)
}

// checkProcessors compares GOMAXPROCS with the processors that there are.
func checkProcessors(_ context.Context, e *examination) Finding {
	if e.Hashers > e.Processors {
		return warn("Unset GOMAXPROCS: the Go runtime finds the right value, also in a container.",
			"GOMAXPROCS is %d, and there are %d processors: hashing passwords takes the time of other requests",
			e.Hashers, e.Processors)
	}
	return ok("passwords are hashed by up to %d processes, on %d processors", e.Hashers, e.Processors)
}

// checkMemory compares the memory with what a server and its child processes need.
func checkMemory(_ context.Context, e *examination) Finding {
	needed := int64(serverMemory + e.Hashers*hasherMemory)
	switch {
	case e.Memory == 0:
		return skip("the memory is not known on this system; a server under load takes %s", size(needed))
	case e.Memory < needed:
		return warn(fmt.Sprintf("Raise the memory limit to %s, or set GOMAXPROCS lower: each processor adds %s.",
			size(needed), size(hasherMemory)),
			"there are %s, and a server under load takes up to %s with %d processes that hash passwords",
			size(e.Memory), size(needed), e.Hashers)
	}
	return ok("there are %s, and a server under load takes up to %s", size(e.Memory), size(needed))
}
