package auth

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sesame-auth/sesame/internal/audit"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/password"
)

// Each account has an outcome. A dry run returns the same outcomes, but stores nothing. A second
// import reports the stored accounts as existing.
func TestImportUsers(t *testing.T) {
	const (
		bcrypt       = "$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"
		tooExpensive = "$argon2id$v=19$m=4194304,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	)
	text := func(text string) *string { return &text }
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := newService(t, engine)
		present, _ := s.storeUser(t, "present@example.com")
		given := uuid.MustParse("6ba7b810-9dad-11d1-80b4-00c04fd430c8")
		early := time.Date(1999, 12, 31, 23, 0, 0, 1234, time.FixedZone("", 3600))
		batch := []ImportedUser{
			{Name: "Plain", Email: "Plain@Example.com"},
			{
				Name: "Whole", Email: "whole@example.com", ID: given, Bio: text("bio"), PasswordHash: text(bcrypt),
				CreatedAt: early, Disabled: true,
			},
			{Name: "Present", Email: "PRESENT@example.com"},
			{Name: "Present", Email: "present@example.com", ID: present.ID},
			{Name: "Present", Email: "present@example.com", ID: uuid.New()},
			{Name: "Another", Email: "another@example.com", ID: present.ID},
			{Name: "Nowhere", Email: "nowhere"},
			{Name: "", Email: "nameless@example.com"},
			{Name: "Bio", Email: "bio@example.com", Bio: text("\x00")},
			{Name: "Hash", Email: "hash@example.com", PasswordHash: text("")},
			{Name: "Hash", Email: "hash2@example.com", PasswordHash: text(tooExpensive)},
		}
		outcomes := []error{
			nil, nil, ErrEmailTaken, ErrEmailTaken, ErrIDTaken, ErrIDTaken,
			ErrInvalidEmail, ErrInvalidName, ErrInvalidBio, password.ErrHash, password.ErrHash,
		}
		for _, round := range []struct {
			dryRun bool
			first  error // the outcome of the valid accounts
			users  int64
		}{{true, nil, 1}, {false, nil, 3}, {false, ErrEmailTaken, 3}, {true, ErrEmailTaken, 3}} {
			want := slices.Clone(outcomes)
			want[0], want[1] = round.first, round.first
			got, err := s.ImportUsers(t.Context(), batch, round.dryRun)
			if err != nil || !slices.EqualFunc(got, want, errors.Is) {
				t.Errorf("%+v: %v, %v", round, got, err)
			}
			if users := s.count(t, &User{}); users != round.users {
				t.Errorf("%+v: %d users", round, users)
			}
			count, _, detail := s.events(t, audit.ImportUsers)
			if count != int(min(round.users-1, 1)) || count == 1 && detail != "users: 2" {
				t.Errorf("%+v: %d events, the last one %q", round, count, detail)
			}
		}
		plain, err := s.FindUser(t.Context(), "plain@example.com")
		if err != nil {
			t.Fatal(err)
		}
		if plain.Name != "Plain" || plain.Bio != nil || plain.HasPassword() || plain.DisabledAt != nil ||
			!plain.CreatedAt.Equal(noon) || plain.Generation != 1 || plain.ID.Version() != 7 {
			t.Errorf("the user with defaults: %+v", plain)
		}
		whole := s.stored(t, given)
		if whole.Email != "whole@example.com" || *whole.Bio != "bio" || whole.PasswordHash != bcrypt ||
			whole.DisabledAt == nil || !whole.CreatedAt.Equal(early.Truncate(time.Microsecond)) ||
			!whole.UpdatedAt.Equal(noon) {
			t.Errorf("the user with all fields: %+v", whole)
		}
		if kept := s.stored(t, present.ID); kept.Name != "Ada" || kept.PasswordHash != "x" {
			t.Errorf("the existing user has changed: %+v", kept)
		}
	})
}

// If a file is imported several times at once, each account is stored, and reported as stored,
// once.
func TestImportsRace(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := newService(t, engine)
		var batch []ImportedUser
		for i := range 3 * importStatement {
			email := string(rune('a'+i%26)) + uuid.NewString() + "@example.com"
			batch = append(batch, ImportedUser{Name: "Ada", Email: email})
		}
		results := make(chan []error, 8)
		concurrently(t, func() (bool, error) {
			outcomes, err := s.ImportUsers(t.Context(), batch, false)
			results <- outcomes
			return true, err
		})
		close(results)
		created := make([]int, len(batch))
		for outcomes := range results {
			for i, outcome := range outcomes {
				switch {
				case outcome == nil:
					created[i]++
				case !errors.Is(outcome, ErrEmailTaken):
					t.Error(outcome)
				}
			}
		}
		if i := slices.IndexFunc(created, func(times int) bool { return times != 1 }); i >= 0 {
			t.Errorf("account %d was created %d times", i, created[i])
		}
		if users := s.count(t, &User{}); users != int64(len(batch)) {
			t.Errorf("%d users of %d", users, len(batch))
		}
	})
}
