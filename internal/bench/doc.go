// Package bench compares the performance of the real server to a floor: the least that the same
// work can cost. Run it with make bench. To measure longer than 3s, set -benchtime to a duration.
// make performance writes docs/performance.md. Benchstat can read the output.
//
// # Requests
//
// The benchmarks measure POST /auth, POST /auth/login, POST /auth/register, POST
// /auth/refresh-tokens, POST /auth/logout and the JWKS on both engines: requests per second (req/s)
// and latencies (p50-ms and p99-ms). The server is the release binary. It runs in its own process
// and is reached through the loopback interface. The load is 16 callers, each with its own
// connection, user and session. A caller sends its next request when it has received the response
// to the last one, which must be the expected one. So there are at most 16 requests in flight, and a
// slow response delays the next request instead of adding to a queue.
//
// Each result is reported next to its floor:
//
//   - /auth: a bare net/http handler that makes the same query through GORM on the same rows. It
//     does not verify, validate or log anything.
//   - /auth/refresh-tokens and /auth/logout: a bare handler that changes one row of a session with
//     one conditional statement through GORM. It makes no token.
//   - /auth/login and /auth/register: the rate at which golang.org/x/crypto/argon2 hashes passwords
//     on all processors, without HTTP or a database (floor-hash/s).
//   - /.well-known/jwks.json: a bare handler that returns "hello, world".
//
// The handlers are in internal/tools/floor. They also run in their own process, under the same
// load.
//
// Logins are measured from the network of an earlier login (known-network), from a new network with
// each request (new-networks), both with the rate limits, and without rate limits (without-limits).
// Registrations come from new networks. No other benchmark of this section has rate limits. Each
// logout ends a session that was made by SQL; the benchmarks make its tokens with the secret of the
// server.
//
// ratio is the server's rate divided by the floor's: 1 means as fast as the floor. Both are
// measured in turns of one second, each after a warm-up of half a second, so that other load on the
// machine affects both alike. The client shares the processors with the server and with PostgreSQL.
// So compare rates and latencies only within one run. Ratios can be compared across runs and
// machines: make bench-compare does, with the ratios of another commit.
//
// Commits are as durable as the disk and the configuration of PostgreSQL make them, for the floor
// and for the server. The PostgreSQL that make bench starts syncs its commits; one that go test
// starts without make does not. If commits are not durable at all, the log says so: TMPDIR may be in
// memory. Logins and refreshes are then faster than in production.
//
// # Connections
//
// BenchmarkConnections measures POST /auth and refreshes with 1, 2, 4 … 128 callers, without a
// floor.
//
// # Round trips
//
// BenchmarkRoundTrips measures how often an operation waits for PostgreSQL (round-trips), through a
// proxy that counts, and how long it takes if the proxy delays everything by 100 ms in each
// direction (distant-ms). Both are medians. distant-503-% are the distant requests that took too long
// for the server. Rate limits are on, and connections are open and their
// statements prepared. No emails are sent, because that does not happen within the request.
//
// # Refusals
//
// BenchmarkRefusals measures refreshes next to logins that a rate limit refuses with 429, 5,000 a
// second if the machine can do as much: with one email, from one network or from a new network each.
// In turns, it measures refreshes alone (quiet-req/s), refusals alone, and both.
//
//   - req/s and p99-ms are those of the refreshes next to refusals/s.
//   - B/refusal is by how many bytes the database grows for each refusal, without refreshes.
//   - cpu-us/refusal is the processor time of a refusal, without refreshes: of the client, of the
//     server, and of PostgreSQL if it is on this machine. cpu-share is the share of all processors
//     that refusals/s need.
//   - ratio is req/s divided by quiet-req/s · (1 - cpu-share): 1 means that refusals cost nothing but
//     their processor time.
//
// # Scale
//
// BenchmarkScale compares databases with few and many users. It runs with the flag -users, which
// lists the numbers of users, as make bench-scale does. It makes the rows by SQL: one session, three
// audit events and one spent budget of the rate limits for each user, with UUIDv7 ids of the last 30
// days. 16 callers use up to 20,000 random users, with 20,000 access tokens at any size. The sizes are
// measured in turns. N-users-req/s, N-users-p99-ms and N-users-MiB are the results with N users, and
// ratio is the rate with the last number of users divided by that with the first.
//
// # Peers
//
// BenchmarkPeers compares with other servers, whose programs the flag -peers names: PocketBase
// (SQLite) and Supabase Auth (PostgreSQL). It measures both in turns: the request that returns the
// user, a refresh, and a login. ratio is Sesame's rate divided by that of the peer (peer-req/s).
//
// # Flood
//
// BenchmarkFlood measures how a flood of logins affects other requests. 200 connections log in with
// wrong passwords, each as fast as it gets responses: first alone, then while 16 other connections
// send 100 POST /auth per second. Use -benchtime 10s, so that p99 is taken from 1,000 requests.
//
//   - p50-ms, p99-ms and max-ms are the latencies of POST /auth during the flood. They start when a
//     request was due. quiet-p50-ms and quiet-p99-ms are the same without the flood.
//   - logins/s counts the logins of the flood that got the response that the password is wrong,
//     while there are no other requests. ratio is logins/s divided by floor-hash/s.
//   - mixed-logins/s and mixed-ratio are the same next to the other requests.
//
// A login may also be refused because there are too many (429 or 503). Any other response fails the
// benchmark.
//
// On Linux the benchmark also measures memory. server-MiB is the maximum resident memory of the
// server process, without its children. growth-MiB is how much more that is than after the start.
// child-MiB is the memory of a child process that hashes, and total-MiB is the memory of the server
// and all of its children, both at the end of the flood. These two count only a share of the pages
// that several processes use, such as those of the program.
//
// # Email
//
// BenchmarkEmail measures how fast emails are sent, through a mail server whose every reply is late
// by 50 ms, the round-trip time of a network.
//
//   - emails/s is the rate of 100 emails for each second of -benchtime, from the first request to
//     /auth/forgot-password until the last email has arrived.
//   - recovery-s is the time from the end of an outage of the mail server, which refuses connections
//     for ten seconds, until an email that waits has arrived: the longest of three.
//   - takeover-s is the time from kill -9 of an instance that is sending an email until another instance
//     has sent it, or on SQLite the same instance after a restart.
//
// # Timing
//
// BenchmarkLoginTiming and BenchmarkForgotPasswordTiming measure whether the time of a response
// reveals who has an account. They send 2,000 pairs of requests, one after the other on one
// connection: one about an email with an account, and one about an email without, in random order.
// A login has a wrong password in both cases. known-ms and unknown-ms are the medians. p-value is
// that of the sign test for pairs: how likely a difference as large as this is by chance. A small
// one, such as 0.001, that several runs confirm, means that the two can be distinguished. It is
// printed, not checked, because a busy machine can make any value.
//
// # Cost of a request
//
// BenchmarkRequestCost measures the processor time that the server uses for one request without a
// login: GET and HEAD of every page, asset and unknown path, with and without gzip, and every
// operation with bodies up to the limit. It prints a table. max-cpu-ms is the largest value. None
// of the requests hashes a password. The time includes the kernel's, for the network and the
// database. The rate limits are off: with them, a network can store only ten reset emails an hour.
// The processor time of another process is measured on Linux only.
//
// # Purge
//
// BenchmarkPurge measures how a purge affects refreshes. 16 connections send 100 POST
// /auth/refresh-tokens a second: to a new installation (quiet), then while the server looks for expired
// sessions among a million that are valid (idle), then while it deletes half of them. A server
// purges when it starts. Use -benchtime 15s, so that p99 is taken from 1,500 requests.
//
//   - p50-ms and p99-ms are the latencies during the purge, idle-p50-ms and idle-p99-ms those without
//     anything to delete. They start when a request was due. ratio and idle-ratio are the p99 divided
//     by quiet-p99-ms.
//   - deleted/s is the rate at which sessions are deleted meanwhile.
//
// # Audit
//
// BenchmarkAudit runs sesame audit on a database with 600,000 events. events/s is the rate at which
// it prints all of them, and last-minute-ms the time to print those of the last minute.
//
// # Storage
//
// BenchmarkStorage makes a database of PostgreSQL with 200,000 users, and the sessions, events, spent
// budgets and known networks that BenchmarkScale describes. B/user, B/session, B/event, B/limit and
// B/network are the bytes of a row with its indexes, just after they were made. read-rows/s is how
// fast the server, when it starts, reads all sessions to find expired ones, and then counts users and
// sessions. That includes the rests between its steps.
//
// # Tracing
//
// BenchmarkTracing measures POST /auth of a server that exports the traces of all requests, or of one
// in a hundred, to a collector that this process runs, and of a server without traces (off-req/s).
// ratio is the rate with traces divided by the rate without.
//
// # Start
//
// BenchmarkStart measures start-ms, the median time from the start of the process until /readyz
// returns 200, with an existing database. On Linux it also measures idle-MiB, the resident memory
// one second later. BenchmarkVersion measures version-ms, the median time of `sesame version`, which
// only initializes the packages, and binary-MiB, the size of the program as make build makes it.
package bench
