package bench

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
)

var users = flag.String("users", "", "the numbers of users for BenchmarkScale, such as 1000,1000000")

// sampled is how many access tokens are used, and of how many users if there are as many.
const sampled = 20_000

// size is an installation with many users.
type size struct {
	users      int
	bytes      int64 // of the database
	in         *installation
	operations map[string][]caller
}

// BenchmarkScale compares databases with few and many users.
func BenchmarkScale(b *testing.B) {
	if *users == "" {
		b.Skip("run make bench-scale")
	}
	installed := buildSizes(b)
	for _, engine := range databasetest.Engines {
		b.Run(string(engine), func(b *testing.B) {
			sizes := installed[engine]
			for _, s := range sizes {
				s.in.serve(b)
				s.prepareOperations(b)
			}
			for _, operation := range []string{"authenticate", "refresh", "login"} {
				b.Run(operation, func(b *testing.B) { compareSizes(b, sizes, operation) })
			}
			for _, s := range sizes { // last, because few users have very many sessions then
				s.prepareLogouts(b)
			}
			b.Run("logout", func(b *testing.B) { compareSizes(b, sizes, "logout") })
		})
	}
}

// buildSizes builds the databases of both engines, at the same time.
func buildSizes(b *testing.B) map[databasetest.Engine][]*size {
	b.Helper()
	hash, started := passwordHashOf(b), time.Now()
	all := make(map[databasetest.Engine][]*size)
	var group errgroup.Group
	for _, engine := range databasetest.Engines {
		var databases []*rows
		for text := range strings.SplitSeq(*users, ",") {
			count, err := strconv.Atoi(text)
			if err != nil {
				b.Fatalf("-users: %v", err)
			}
			databaseURL := databasetest.URL(b, engine)
			in := prepare(b, engine, databaseURL, "SESAME_THROTTLE=on", behindProxy)
			all[engine] = append(all[engine], &size{users: count, in: in})
			databases = append(databases, openRows(b, engine, databaseURL))
		}
		group.Go(func() error {
			err := buildEach(b.Context(), all[engine], databases, hash)
			_, _ = fmt.Fprintf(os.Stderr, "built the databases of %s in %.0f s\n", engine, time.Since(started).Seconds())
			return err
		})
	}
	if err := group.Wait(); err != nil {
		b.Fatal(err)
	}
	return all
}

// buildEach builds the databases of one engine, and closes them.
func buildEach(ctx context.Context, sizes []*size, databases []*rows, passwordHash string) (err error) {
	defer func() {
		for _, r := range databases {
			r.close()
		}
	}()
	restore, err := databases[0].syncNothing(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, restore()) }()
	for i, s := range sizes {
		if err := databases[i].build(ctx, s.users, passwordHash); err != nil {
			return err
		}
		if s.bytes, err = databases[i].bytes(ctx); err != nil {
			return err
		}
	}
	return nil
}

// prepareOperations makes the callers. Each uses random users; a session belongs to one caller.
func (s *size) prepareOperations(b *testing.B) {
	b.Helper()
	r := openRows(b, s.in.engine, s.in.databaseURL)
	defer r.close()
	tokens, sample := s.in.tokens(b), r.sample(b, sampled)
	// As many different tokens for few users as for many: the server may remember those it has seen.
	accessTokens := make([]string, sampled)
	for i := range accessTokens {
		accessTokens[i] = tokens.accessOf(b, sample[i%len(sample)])
	}
	s.operations = make(map[string][]caller)
	own := len(sample) / connections
	for i := range connections {
		c := dial(b, s.in.address)
		refresh := make([]caller, own)
		for j := range refresh {
			refresh[j] = refreshing(c, tokens.refreshOf(sample[i*own+j]), newNetwork())
		}
		for operation, call := range map[string]caller{
			"authenticate": func() error {
				header := newNetwork() + "Authorization: Bearer " + accessTokens[rand.IntN(sampled)] + "\r\n"
				_, err := c.send(request("/auth", header, ""), 200)
				return err
			},
			"refresh": func() error { return refresh[rand.IntN(own)]() },
			"login": func() error {
				return c.sendHashed(loginFrom(sample[rand.IntN(len(sample))].email, newNetwork()), 200)
			},
		} {
			s.operations[operation] = append(s.operations[operation], call)
		}
	}
}

func (s *size) prepareLogouts(b *testing.B) {
	b.Helper()
	tokens := s.in.tokens(b)
	for _, own := range s.in.sessionsToLogOut(b) {
		call := loggingOut(dial(b, s.in.address), tokens, own, newNetwork())
		s.operations["logout"] = append(s.operations["logout"], call)
	}
}

// compareSizes measures an operation with each number of users in turns. ratio is the rate with the
// most users divided by that with the fewest.
func compareSizes(b *testing.B, sizes []*size, operation string) {
	b.Helper()
	loads := make([]load, len(sizes))
	for b.Loop() { // once: it takes longer than -benchtime
		for left := benchtimeOf(b); left > 0; left -= turn {
			for i, s := range sizes {
				if err := loads[i].measure(s.operations[operation], min(turn, left)); err != nil {
					b.Fatalf("%d users: %v", s.users, err)
				}
			}
		}
	}
	b.ReportMetric(0, "ns/op") // 0 hides it: the duration of the whole measurement is no result
	for i, s := range sizes {
		b.ReportMetric(loads[i].perSecond(), fmt.Sprintf("%d-users-req/s", s.users))
		b.ReportMetric(loads[i].percentile(99), fmt.Sprintf("%d-users-p99-ms", s.users))
		b.ReportMetric(float64(s.bytes>>20), fmt.Sprintf("%d-users-MiB", s.users))
	}
	b.ReportMetric(loads[len(loads)-1].perSecond()/loads[0].perSecond(), "ratio")
}
