package main

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/processtest"
)

// Users of another system log in with the password that they have there, after their export was
// converted and imported.
func TestConvertedUsersLogIn(t *testing.T) {
	for from, file := range map[string]string{"supabase": "supabase.csv", "auth0": "auth0.ndjson"} {
		t.Run(from, func(t *testing.T) {
			databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
				export, err := os.ReadFile(filepath.Join("testdata", file))
				if err != nil {
					t.Fatal(err)
				}
				server := processtest.New(t, engine)
				server.UseCheapHashes(t)
				server.Start(t)
				status, users, stderr := server.Run(t, string(export), "users", "convert", "--from", from, "-")
				if status != 0 {
					t.Fatalf("convert: status %d\n%s", status, stderr)
				}
				if status, report, stderr := server.Run(t, users, "users", "import", "-"); status != 0 {
					t.Fatalf("import: status %d\n%s%s", status, report, stderr)
				}
				for email, want := range map[string]int{
					"ada@example.com": http.StatusOK, "grace@example.com": http.StatusOK,
					"oauth@example.com": http.StatusUnauthorized, "banned@example.com": http.StatusUnauthorized,
				} {
					if status, _ := tryLogin(t, server, email, "correct horse"); status != want {
						t.Errorf("%s: login: %d, want %d", email, status, want)
					}
					stored := user(t, server, email)
					if stored.EmailVerified() != (email != "grace@example.com") {
						t.Errorf("%s is stored as %+v", email, stored)
					}
				}
				if ada := user(t, server, "ada@example.com"); from == "supabase" &&
					(ada.ID.String() != "4a8ad3a1-0001-4c5e-9d0e-5f6a7b8c9d01" || ada.Name != "Ada Lovelace" ||
						!ada.CreatedAt.Equal(time.Date(2024, 3, 1, 9, 59, 0, 5e8, time.UTC))) {
					t.Errorf("stored %+v", ada)
				}
			})
		})
	}
}
