package httpapi_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/google/uuid"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/secret"
	"github.com/sesame-auth/sesame/internal/server/servertest"
	"github.com/sesame-auth/sesame/internal/token"
)

// call is a call of one operation for one account.
type call struct {
	operation string
	email     string
	password  string        // register, login, reset
	token     token.Refresh // refresh, logout, authenticate: the session and, for refresh, the counter
	link      string        // reset: the token in the link
}

// result is what the call returned.
type result struct {
	ok    bool
	token token.Refresh // of login and refresh
	link  string        // of link
}

// state is the state of one account.
type state struct {
	password string              // "": not registered
	link     string              // the token of the valid reset link
	live     map[uuid.UUID]int64 // the counters of the live sessions
}

// step reports whether an account can return this result, and its state afterwards. All calls are
// within the grace period of a refresh.
func step(before state, in call, out result) (bool, state) {
	after := state{password: before.password, link: before.link, live: maps.Clone(before.live)}
	counter, live := before.live[in.token.Session]
	switch in.operation {
	case "register":
		if out.ok {
			after.password = in.password
		}
		return out.ok == (before.password == ""), after
	case "login":
		if out.ok {
			after.live[out.token.Session] = out.token.Counter
		}
		return out.ok == (before.password == in.password), after
	case "authenticate":
		return out.ok == live, after
	case "logout":
		delete(after.live, in.token.Session)
		return out.ok, after
	case "link":
		if out.ok {
			after.link = out.link
		}
		return out.ok == (before.password != ""), after
	case "reset":
		if out.ok {
			after = state{password: in.password, live: map[uuid.UUID]int64{}}
		}
		return out.ok == (before.link == in.link), after
	case "refresh":
		switch {
		case !live:
			return !out.ok, after
		case in.token.Counter == counter:
			after.live[in.token.Session] = counter + 1
		case in.token.Counter < counter-1:
			delete(after.live, in.token.Session) // reuse
			return !out.ok, after
		}
		return out.ok && out.token == token.Refresh{Session: in.token.Session, Counter: in.token.Counter + 1}, after
	}
	panic(in.operation)
}

var accountModel = porcupine.Model{
	Partition: func(history []porcupine.Operation) (partitions [][]porcupine.Operation) {
		byEmail := make(map[string][]porcupine.Operation)
		for _, operation := range history {
			if in, ok := operation.Input.(call); ok {
				byEmail[in.email] = append(byEmail[in.email], operation)
			}
		}
		for _, partition := range byEmail {
			partitions = append(partitions, partition)
		}
		return partitions
	},
	Init: func() any { return state{live: map[uuid.UUID]int64{}} },
	Step: func(before, input, output any) (bool, any) {
		from, isState := before.(state)
		in, isCall := input.(call)
		out, isResult := output.(result)
		if !isState || !isCall || !isResult {
			return false, before
		}
		return step(from, in, out)
	},
	Equal: reflect.DeepEqual,
}

// actor calls operations on one of the instances. It knows the tokens that all actors got.
type actor struct {
	s     *servertest.Server
	known *knownTokens
}

type knownTokens struct {
	sync.Mutex
	tokens []servertest.Tokens
	links  []string
}

func pick[T any](random *rand.Rand, some []T) (one T) {
	if len(some) == 0 {
		return one
	}
	if random.IntN(3) > 0 { // a recent one more often
		some = some[max(0, len(some)-4):]
	}
	return some[random.IntN(len(some))]
}

// call makes a random call, and returns it with its result.
func (a actor) call(t *testing.T, random *rand.Rand, codec token.RefreshCodec, email string) (call, result) {
	t.Helper()
	passwords := []string{servertest.Password, "an even better horse"}
	in := call{email: email, password: passwords[random.IntN(2)]}
	a.known.Lock()
	tokens, link := pick(random, a.known.tokens), pick(random, a.known.links)
	a.known.Unlock()
	operations := []string{
		"register", "link", "reset", "logout", "login", "authenticate", "authenticate",
		"refresh", "refresh", "refresh", "refresh", "refresh", "refresh",
	}
	in.operation = operations[random.IntN(len(operations))]
	needsTokens := slices.Contains([]string{"logout", "authenticate", "refresh"}, in.operation)
	if tokens.Refresh == "" && needsTokens || link == "" && in.operation == "reset" {
		in.operation = "register"
	}
	var out result
	expect := func(response servertest.Response, success, refusal int) servertest.Response {
		if response.Status != success && response.Status != refusal {
			t.Errorf("%s: %d %s", in.operation, response.Status, response.Raw)
		}
		out.ok = response.Status == success
		return response
	}
	decode := func(text string) token.Refresh {
		decoded, err := codec.Decode(text)
		if err != nil {
			t.Error(err)
		}
		return decoded
	}
	learn := func(response servertest.Response) {
		if out.ok {
			got := servertest.Tokens{Access: response.Text("accessToken"), Refresh: response.Text("refreshToken")}
			out.token = decode(got.Refresh)
			a.known.Lock()
			defer a.known.Unlock()
			a.known.tokens = append(a.known.tokens, got)
		}
	}
	switch in.operation {
	case "register":
		expect(a.s.Post(t, "/auth/register", "name", "Ada", "email", email, "password", in.password,
			"confirm", in.password), http.StatusCreated, http.StatusBadRequest)
	case "login":
		learn(expect(a.s.Post(t, "/auth/login", "email", email, "password", in.password),
			http.StatusOK, http.StatusUnauthorized))
	case "authenticate":
		in.token = decode(tokens.Refresh)
		expect(a.s.Authenticate(t, tokens.Access), http.StatusOK, http.StatusUnauthorized)
	case "logout":
		in.token = decode(tokens.Refresh)
		expect(a.s.Logout(t, tokens.Refresh), http.StatusOK, 0)
	case "refresh":
		in.token = decode(tokens.Refresh)
		learn(expect(a.s.TryRefresh(t, tokens.Refresh), http.StatusOK, http.StatusUnauthorized))
	case "reset":
		in.link = link
		expect(a.s.ResetPassword(t, link, in.password), http.StatusOK, http.StatusUnauthorized)
	case "link":
		user, err := a.s.Auth.FindUser(t.Context(), email)
		if err != nil {
			break // not registered
		}
		url, err := a.s.Auth.ResetLink(t.Context(), user.ID)
		if err != nil {
			t.Error(err)
		}
		_, out.link, out.ok = strings.Cut(url, "#token=")
		a.known.Lock()
		defer a.known.Unlock()
		a.known.links = append(a.known.links, out.link)
	}
	return in, out
}

// However calls run in parallel on three instances, their results are those of some order in which
// each call takes effect at one moment between its request and its response (linearizability).
func TestAccountsAreLinearizable(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		one := servertest.Start(t, engine, servertest.Options{})
		options := servertest.Options{}
		instances := []*servertest.Server{one, one.StartAnother(t, engine, options), one.StartAnother(t, engine, options)}
		codec := token.NewRefreshCodec([]secret.Secret{servertest.Secret})
		started := time.Now()
		for round := range 10 {
			var mu sync.Mutex
			var history []porcupine.Operation
			known, email := &knownTokens{}, fmt.Sprintf("round%d@example.com", round)
			var actors sync.WaitGroup
			for i := range 6 {
				a, random := actor{s: instances[i%3], known: known}, rand.New(rand.NewPCG(uint64(round), uint64(i)))
				actors.Go(func() {
					for range 25 {
						called := time.Since(started)
						in, out := a.call(t, random, codec, email)
						mu.Lock()
						history = append(history, porcupine.Operation{
							ClientId: i, Input: in, Call: int64(called), Output: out, Return: int64(time.Since(started)),
						})
						mu.Unlock()
					}
				})
			}
			actors.Wait()
			if check := porcupine.CheckOperationsTimeout(accountModel, history, time.Minute); check != porcupine.Ok {
				for _, operation := range history {
					t.Logf("%d to %d: %+v %+v", operation.Call, operation.Return, operation.Input, operation.Output)
				}
				t.Fatalf("round %d: %s", round, check)
			}
		}
	})
}
