// Package bench measures the real server against the least that its work can cost. Run it with make bench;
// give -benchtime a duration, 3s unless told otherwise, to measure longer.
//
// Measured are req/s and the latencies p50-ms and p99-ms of POST /auth, POST /auth/login and
// POST /auth/refresh-tokens, on both engines. The server is the binary that ships, a process of its own on
// the loopback interface. The load is 16 callers, each with its own connection, kept alive, its own user and
// its own session; each sends its next request when the answer to the last one, a 200, is there. So at most
// 16 requests are under way, and a slow answer delays the next request instead of adding to a queue.
//
// Beside each figure stands its floor:
//
//   - for /auth, a bare net/http handler that makes the same query through GORM, over the same rows, and
//     verifies, validates and logs nothing;
//   - for /auth/refresh-tokens, a bare handler that changes one row of a session in one statement through
//     GORM, on a condition, and makes no token;
//   - for /auth/login, the rate at which golang.org/x/crypto/argon2 makes hashes on all processors of this
//     machine, with neither HTTP nor database: floor-hash/s.
//
// The handlers are in the folder floor. They too are a process of their own, under the same load.
//
// ratio is the server's rate divided by the floor's: 1 is as fast as the floor. Both are measured in turns of
// a second, each after half a second of warm-up, so that whatever else the machine does meets both alike. The
// client shares the processors with the server and with PostgreSQL, and other machines differ: a rate or a
// latency is comparable only with the others of its own run. What may be compared across runs is the ratio.
//
// Commits are as durable as the disk and PostgreSQL's configuration make them, the floor's as the server's.
// Where that is not at all, the log says so: the PostgreSQL that make bench starts does not sync, as a
// throwaway's may, and TMPDIR may be in memory. Logins and refreshes are then faster than in production.
//
// BenchmarkFlood measures what a flood of logins does to others. 200 connections log in with wrong passwords, each as
// fast as it is answered: first alone, and then while 16 others send POST /auth a hundred times a second. p50-ms, p99-ms
// and max-ms are of the latter, from when each was due; quiet-p50-ms and quiet-p99-ms are the same without the flood. Of
// the flood, logins/s are those that were told that the password is wrong, and ratio is their share of floor-hash/s,
// each with the machine to itself; beside-logins/s and beside-ratio are what the others leave of them. A login may be told
// that there are too many; any other answer fails the benchmark. It wants -benchtime 10s for a p99 of a thousand requests.
//
// On Linux it also measures memory. server-MiB is the most that the server's own process had resident, and growth-MiB how
// much more that is than after its start. child-MiB is the memory of a child process that hashes, and total-MiB that of
// the server and all its children, both at the end of the flood. Of pages that processes share, such as the program's,
// these two count a part for each process.
//
// BenchmarkStart measures start-ms, from the start of the process on an existing SQLite data folder until
// /readyz answers 200 (the median), and on Linux idle-MiB, the resident memory a second later.
package bench
