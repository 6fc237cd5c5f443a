package httpapi_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sesame-auth/sesame/internal/auth"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/server/servertest"
)

// If registration is closed, only an operator can create accounts. Their users log in as always.
func TestRegistrationClosed(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{
			Registration: auth.RegistrationClosed, EmailVerification: auth.VerificationRequired,
		})
		const email = "ada@example.com"
		expectCode(t, s.Register(t, email), 403, "registration_closed")
		if _, err := s.Auth.FindUser(t.Context(), email); err == nil {
			t.Error("the account was created")
		}
		password := servertest.Password
		account := auth.NewUser{Name: "Ada", Email: email, Password: &password}
		if _, err := s.Auth.CreateUser(t.Context(), account); err != nil {
			t.Fatal(err)
		}
		expectCode(t, s.Register(t, email), 403, "registration_closed")
		s.Login(t, email)
		if inbox := s.Inbox(t); len(inbox) > 0 {
			t.Errorf("emails: %+v", inbox)
		}
	})
}

func registerFrom(t *testing.T, s *servertest.Server, client, email string) servertest.Response {
	t.Helper()
	return servertest.Call{Path: "/auth/register", IP: client}.
		Send(t, s, "name", "Eve", "email", email, "password", servertest.Password, "confirm", servertest.Password)
}

// hidden returns a response as text, without what belongs to the request.
func hidden(response servertest.Response, email string) string {
	response.Raw = strings.ReplaceAll(response.Raw, email, "<email>")
	return withoutID(response)
}

// A private registration of an email that has an account returns the same response, and its owner gets
// an email, at most as many as links. The login that follows reveals nothing either: an email that is
// not verified logs in like a wrong password, at the same price, and the right password sends the link
// again. After the email was verified, its user logs in.
func TestPrivateRegistration(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := required(t, engine, auth.RegistrationPrivate)
		const taken, fresh, stranger, home = "owner@example.com", "fresh@example.com", "192.0.2.1", "198.51.100.1"
		ownersPassword := "a password of the owner"
		_, err := s.Auth.CreateUser(t.Context(), auth.NewUser{Name: "Ada", Email: taken, Password: &ownersPassword})
		if err != nil {
			t.Fatal(err)
		}
		before := *findUser(t, s, taken)

		one, other := registerFrom(t, s, stranger, fresh), registerFrom(t, s, stranger, strings.ToUpper(taken))
		if one.Status != 201 || hidden(one, fresh) != hidden(other, taken) {
			t.Errorf("new: %d %s\ntaken: %d %s", one.Status, one.Raw, other.Status, other.Raw)
		}
		inbox := s.Inbox(t)
		expectSubjects(t, inbox, taken, alreadyHas)
		expectSubjects(t, inbox, fresh, "Verify your email for Sesame")
		token := s.Token(t, inbox, fresh, "verify-email")
		if after := *findUser(t, s, taken); after.Name != before.Name || after.PasswordHash != before.PasswordHash {
			t.Errorf("the account has changed: %+v", after)
		}

		wrongs := loginFrom(t, s, stranger, "nobody@example.com", servertest.Password)
		expectCode(t, wrongs, 401, "invalid_credentials")
		for _, email := range []string{fresh, taken} {
			if got := loginFrom(t, s, stranger, email, servertest.Password); withoutID(got) != withoutID(wrongs) {
				t.Errorf("the login of %s: %d %s, want %s", email, got.Status, got.Raw, wrongs.Raw)
			}
		}
		if inbox := s.Inbox(t); len(inbox) > 0 {
			t.Errorf("more than one link in a minute: %+v", inbox)
		}
		s.Clock.Advance(time.Minute)
		for _, email := range []string{fresh, taken, "nobody@example.com"} {
			expectStatus(t, loginFrom(t, s, stranger, email, wrong), 401)
		}
		if inbox := s.Inbox(t); len(inbox) > 0 {
			t.Errorf("emails after wrong passwords: %+v", inbox)
		}
		s.Clock.Advance(time.Minute)
		expectStatus(t, loginFrom(t, s, stranger, taken, servertest.Password), 401)
		expectStatus(t, loginFrom(t, s, stranger, fresh, servertest.Password), 401)
		inbox = s.Inbox(t)
		if len(inbox) != 1 {
			t.Errorf("emails after the right password: %+v", inbox)
		}
		newer := s.Token(t, inbox, fresh, "verify-email")
		expectCode(t, s.VerifyEmail(t, token, servertest.Password), 401, "invalid_link")

		for _, email := range []string{fresh, taken} { // of ten attempts three were used, and one was refunded
			for range 8 {
				expectStatus(t, loginFrom(t, s, stranger, email, servertest.Password), 401)
			}
			expectStatus(t, loginFrom(t, s, stranger, email, servertest.Password), 429)
		}
		if networks := knownNetworks(t, s); networks != 0 {
			t.Errorf("%d known networks", networks)
		}
		expectStatus(t, s.VerifyEmail(t, newer, servertest.Password), 200)
		expectStatus(t, loginFrom(t, s, home, fresh, servertest.Password), 200)
		expectStatus(t, loginFrom(t, s, home, taken, ownersPassword), 200)
	})
}

// A stranger can cause three emails a day to the owner of an account with registrations from one
// network, and five from all.
func TestLimitOfPrivateRegistrations(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := required(t, engine, auth.RegistrationPrivate)
		const owner = "owner@example.com"
		if _, err := s.Auth.CreateUser(t.Context(), auth.NewUser{Name: "Ada", Email: owner}); err != nil {
			t.Fatal(err)
		}
		sent := func(clients ...string) int {
			t.Helper()
			for _, client := range clients {
				expectStatus(t, registerFrom(t, s, client, owner), 201)
				s.WaitForOutbox(t)
				s.Clock.Advance(time.Minute)
			}
			return len(s.Inbox(t))
		}
		if got := sent(slices.Repeat([]string{"192.0.2.1"}, 6)...); got != 3 {
			t.Errorf("6 registrations from one network send %d emails", got)
		}
		if got := sent("192.0.3.1", "192.0.4.1", "192.0.5.1", "192.0.6.1"); got != 2 {
			t.Errorf("4 registrations from others send %d emails", got)
		}
		expectStatus(t, forgotFrom(t, s, "192.0.2.1", owner), 202) // has a budget of its own
		expectSubjects(t, s.Inbox(t), owner, "Reset your Sesame password")
	})
}

// Registering, and the login that follows, return the same response for a new email and for one that
// has an account, in 300 pairs of both, and take the same time. The time is compared unless -short is
// given; BenchmarkPrivateRegistrationTiming does that more precisely.
func TestPrivateRegistrationDoesNotRevealAccounts(t *testing.T) {
	const pairs = 300
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := required(t, engine, auth.RegistrationPrivate)
		var owners []auth.ImportedUser
		for i := range pairs {
			owners = append(owners, auth.ImportedUser{Name: "Ada", Email: fmt.Sprintf("taken%03d@example.com", i)})
		}
		if _, err := s.Auth.ImportUsers(t.Context(), owners, false); err != nil {
			t.Fatal(err)
		}
		type step struct {
			name string
			send func(client, email string) servertest.Response
		}
		steps := []step{
			{"register", func(client, email string) servertest.Response { return registerFrom(t, s, client, email) }},
			{"login", func(client, email string) servertest.Response {
				return loginFrom(t, s, client, email, servertest.Password)
			}},
		}
		for attempt := 1; ; attempt++ {
			// Which of each pair is new differs, so that nothing else distinguishes them.
			seen, times := make(map[string]string), make(map[string][]float64)
			for i := range pairs {
				for _, step := range steps {
					kinds := []string{"taken", fmt.Sprintf("new%d-", attempt)}
					rand.Shuffle(len(kinds), func(i, j int) { kinds[i], kinds[j] = kinds[j], kinds[i] })
					for _, kind := range kinds {
						email, name := fmt.Sprintf("%s%03d@example.com", kind, i), strings.TrimRight(kind, "-0123456789")
						client := fmt.Sprintf("2001:db8:%x:%x::1", i, len(kind))
						started := time.Now()
						response := step.send(client, email)
						times[step.name+" "+name] = append(times[step.name+" "+name], time.Since(started).Seconds()*1000)
						s.WaitForOutbox(t) // its work must not slow down the next request
						got := hidden(response, email)
						if want, found := seen[step.name]; !found {
							seen[step.name] = got
						} else if got != want {
							t.Fatalf("%s of %s: %s\nwant %s", step.name, email, got, want)
						}
					}
					s.Clock.Advance(time.Minute)
				}
			}
			if !strings.HasPrefix(seen["register"], "201") || !strings.HasPrefix(seen["login"], "401") {
				t.Fatalf("%v", seen)
			}
			s.Inbox(t)
			if testing.Short() {
				return
			}
			alike := true
			for _, step := range steps {
				fresh, taken := median(times[step.name+" new"]), median(times[step.name+" taken"])
				t.Logf("%s: new %.3f ms, taken %.3f ms", step.name, fresh, taken)
				alike = alike && math.Abs(fresh-taken) < 0.25*min(fresh, taken)
			}
			if alike {
				return
			}
			if attempt == 3 { // other load on the machine does not do that three times
				t.Fatal("new and taken emails take different times")
			}
			s.Clock.Advance(24 * time.Hour)
		}
	})
}

func median(values []float64) float64 {
	values = slices.Sorted(slices.Values(values))
	return values[len(values)/2]
}
