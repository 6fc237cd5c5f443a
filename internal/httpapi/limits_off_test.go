package httpapi_test

import (
	"net/http"
	"testing"

	"github.com/sesame-auth/sesame/internal/audit"
	"github.com/sesame-auth/sesame/internal/auth"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/server/servertest"
)

// Switching the limits off allows any number of attempts. Known networks are still recorded, so
// that the limits work when they are switched on again, and the audit log is still protected from a
// flood.
func TestLimitsOff(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{Throttle: false})
		email := s.NewUser(t)
		for range 40 {
			response := s.Post(t, "/auth/login", "email", email, "password", "a wrong password")
			if response.Status != http.StatusUnauthorized {
				t.Fatalf("a wrong password: %d", response.Status)
			}
		}
		tokens := s.Login(t, email)
		s.Refresh(t, tokens.Refresh)
		for range 5 {
			s.Refresh(t, tokens.Refresh)
		}
		var networks, replays int64
		db := s.DB.WithContext(t.Context())
		if err := db.Model(&auth.KnownNetwork{}).Count(&networks).Error; err != nil || networks != 1 {
			t.Errorf("%d known networks, want 1, %v", networks, err)
		}
		if err := db.Model(&audit.Event{}).Where("kind = ?", audit.Replay).Count(&replays).Error; err != nil || replays != 1 {
			t.Errorf("%d events for 5 replays, want 1, %v", replays, err)
		}
	})
}
