// Floor is the server that the benchmarks compare Sesame to. It does the least that Sesame's work
// can cost: a constant, or one query or one update through the same database package.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/auth"
	"github.com/sesame-auth/sesame/internal/database"
)

func main() {
	os.Exit(run())
}

// run serves until it gets a signal, and returns the exit status.
func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx, os.Getenv("FLOOR_ADDR"), os.Getenv("FLOOR_DATABASE_URL")); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "floor:", err) // best effort
		return 1
	}
	return 0
}

// serve listens on address until ctx is done. The database must have been migrated by Sesame.
func serve(ctx context.Context, address, databaseURL string) (err error) {
	db, err := database.Open(ctx, databaseURL)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}

	f := floor{db}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /readyz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /hello", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("hello, world")) // best effort: the client may have disconnected
	})
	mux.HandleFunc("POST /read/{user}/{session}", f.read)
	mux.HandleFunc("POST /update/{session}", f.update)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
		return server.Shutdown(context.WithoutCancel(ctx))
	}
}

type floor struct{ db *database.DB }

// read makes the query of auth's Authenticate.
func (f floor) read(w http.ResponseWriter, r *http.Request) {
	userID, userErr := uuid.Parse(r.PathValue("user"))
	sessionID, sessionErr := uuid.Parse(r.PathValue("session"))
	if err := errors.Join(userErr, sessionErr); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	now := time.Now().UTC().Truncate(time.Microsecond)
	var user auth.User
	err := f.db.WithContext(r.Context()).
		Joins("JOIN sessions ON sessions.user_id = users.id AND sessions.generation = users.generation").
		Where("sessions.id = ? AND users.id = ?", sessionID, userID).
		Where("sessions.revoked_at IS NULL AND sessions.expires_at > ? AND sessions.idle_expires_at > ?", now, now).
		Where("users.disabled_at IS NULL").
		Take(&user).Error
	respond(w, err, map[string]string{"name": user.Name, "email": user.Email})
}

// update changes a session like a refresh, with fewer conditions. It commits each change by itself:
// database.DB.Statement would let several share one commit.
func (f floor) update(w http.ResponseWriter, r *http.Request) {
	sessionID, err := uuid.Parse(r.PathValue("session"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	now := time.Now().UTC().Truncate(time.Microsecond)
	update := f.db.WithContext(r.Context()).Model(&auth.Session{}).
		Where("id = ? AND revoked_at IS NULL", sessionID).
		Updates(map[string]any{
			"counter": gorm.Expr("counter + 1"), "rotated_at": now, "idle_expires_at": now.Add(time.Hour),
		})
	err = update.Error
	if err == nil && update.RowsAffected != 1 {
		err = errors.New("there is no such session")
	}
	respond(w, err, map[string]string{"message": "updated"})
}

func respond(w http.ResponseWriter, err error, body map[string]string) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body) // best effort: the client may have disconnected
}
