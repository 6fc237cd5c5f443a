package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sesame-auth/sesame/internal/httpapi"
)

const (
	// purgeInterval is how often expired rows are deleted.
	purgeInterval = time.Hour
	// drainTimeout is how long Serve waits for in-flight requests after the drain delay.
	drainTimeout = 25 * time.Second
)

// Listen opens the listeners of the API and of the admin endpoints, and loads the certificate.
func (s *Server) Listen(ctx context.Context) (err error) {
	if s.config.TLSCert != "" {
		if s.certificate, err = openCertificate(s.config); err != nil {
			return fmt.Errorf("SESAME_TLS_CERT: %w", err)
		}
	}
	if s.apiListener, err = listen(ctx, "SESAME_ADDR", s.config.Addr, s.config.APIListener); err != nil {
		return err
	}
	if s.adminListener, err = listen(ctx, "SESAME_ADMIN_ADDR", s.config.AdminAddr, s.config.AdminListener); err != nil {
		return errors.Join(err, s.apiListener.Close())
	}
	return nil
}

// Addr returns the address that the API listens on, after Listen.
func (s *Server) Addr() string { return Address(s.apiListener) }

// AdminAddr returns the address that the admin endpoints listen on, after Listen.
func (s *Server) AdminAddr() string { return Address(s.adminListener) }

// Serve runs the API, the admin endpoints and the background work until ctx is done. Then the
// server is not ready, but accepts requests for the drain delay, so that a load balancer notices.
// Then it accepts no more, and waits for in-flight requests and emails. The admin endpoints stop
// last. Call Listen first.
func (s *Server) Serve(ctx context.Context) error {
	log := s.config.Log
	api := httpapi.NewServer(s.closeWhenDraining(s.handler), log)
	admin := httpapi.NewServer(s.admin, log)
	s.health.check(ctx, s.DB, log)
	group, running := errgroup.WithContext(context.WithoutCancel(ctx))
	work, stopWork := context.WithCancel(running)
	defer stopWork()
	if s.certificate != nil {
		api.TLSConfig = s.certificate.config()
		group.Go(func() error { s.certificate.run(work); return nil })
	}
	group.Go(func() error { return untilClosed(s.connections.Serve(api, s.apiListener)) })
	group.Go(func() error { return untilClosed(admin.Serve(s.adminListener)) })
	group.Go(func() error { s.Outbox.Run(work, s.Auth.Emails()); return nil })
	group.Go(func() error { s.Auth.RunPurge(work, s.lastUsed, purgeInterval, log); return nil })
	group.Go(func() error { s.Keys.Run(work, s.config.KeyReloadInterval, log); return nil })
	group.Go(func() error { s.health.run(work, s.DB, log); return nil })
	group.Go(func() error {
		select {
		case <-ctx.Done():
		case <-running.Done(): // a listener failed
		}
		s.draining.Store(true)
		if s.config.DrainDelay > 0 && running.Err() == nil {
			log.Info("shutting down: not ready, accepting requests for the drain delay",
				"delay", s.config.DrainDelay.String())
			select {
			case <-time.After(s.config.DrainDelay):
			case <-running.Done():
			}
		}
		log.Info("shutting down: waiting for in-flight requests")
		stopWork()
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
		defer cancel()
		return errors.Join(api.Shutdown(bounded), admin.Shutdown(bounded))
	})
	return group.Wait()
}

// closeWhenDraining closes each connection after its next response once the server shuts down. A
// client that keeps a connection would otherwise send a request on it just when it is closed.
func (s *Server) closeWhenDraining(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.draining.Load() {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

// ready returns nil if the server can handle requests.
func (s *Server) ready() error {
	if s.draining.Load() {
		return errDraining
	}
	return s.health.ready()
}

// untilClosed ignores the error that http.Server returns after Shutdown.
func untilClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// MaxConnections returns how many connections of the API may be open: half of the files that the
// process may open, because the database and the hashing processes need some, and at most 4096, so
// that idle connections take about 80 MiB of memory at most.
func MaxConnections() int { return min(4096, max(16, maxFiles()/2)) }
