package faults

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/processtest"
)

// balancer sends requests to the servers that were ready at the last check, like a load balancer.
// It repeats none.
type balancer struct {
	backends []*backend
	client   *http.Client
	next     atomic.Int64
}

type backend struct {
	*processtest.Server

	ready atomic.Bool
}

const checkEvery = 200 * time.Millisecond

// check keeps ready up to date until ctx is done.
func (b *backend) check(ctx context.Context) {
	ticker := time.NewTicker(checkEvery)
	defer ticker.Stop()
	for {
		b.ready.Store(b.IsReady(ctx))
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// pick returns the API of the next server that is ready.
func (b *balancer) pick() (address string) {
	first := int(b.next.Add(1))
	for i := range b.backends {
		if next := b.backends[(first+i)%len(b.backends)]; next.ready.Load() {
			return next.API
		}
	}
	return "no server is ready"
}

// Two servers are restarted one after the other, behind a load balancer that asks for readiness. No
// request fails, at 200 requests a second.
func TestRollingRestart(t *testing.T) {
	begin(t)
	const senders, perSecond = 20, 10 // of each sender
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		first := processtest.New(t, engine, "SESAME_DRAIN_DELAY=2s", "SESAME_THROTTLE=off", "SESAME_LOG_LEVEL=warn")
		balancer := &balancer{
			backends: []*backend{{Server: first}, {Server: first.Another(t)}},
			client:   &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: senders}},
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var running sync.WaitGroup
		for _, b := range balancer.backends {
			b.Start(t)
			running.Go(func() { b.check(ctx) })
		}
		awaitAll := func() {
			t.Helper()
			processtest.Eventually(t, "the load balancer uses both servers", func() bool {
				return balancer.backends[0].ready.Load() && balancer.backends[1].ready.Load()
			})
		}
		awaitAll()
		access := first.Login(t)["accessToken"]
		var sent, failed atomic.Int64
		f := &figures{}
		for sender := range senders {
			running.Go(func() {
				ticker := time.NewTicker(time.Second / perSecond)
				defer ticker.Stop()
				for ; ctx.Err() == nil; <-ticker.C {
					sent.Add(1)
					began := time.Now()
					err := balancer.send(sender, access)
					f.answered(time.Since(began))
					if err != nil {
						failed.Add(1)
						t.Error(err)
					}
				}
			})
		}
		for range rounds(1, 10) {
			f.rounds++
			for _, b := range balancer.backends {
				if output, err := b.Stop(t, syscall.SIGTERM); err != nil {
					t.Errorf("%v\n%s", err, output)
				}
				b.Start(t)
				awaitAll()
			}
		}
		cancel()
		running.Wait()
		publish(t, "rolling restart, "+titles[engine], f.rounds, sent.Load(), failed.Load(), seconds(f.longest))
	})
}

// send sends a request that reads, or for every tenth sender one that writes. Both are POST, so
// that http.Transport does not repeat them.
func (b *balancer) send(sender int, access string) error {
	address, path, body, want := b.pick(), "/auth", "", http.StatusOK
	if sender%10 == 0 {
		path, body, want = "/auth/forgot-password", fmt.Sprintf(`{"email":"%d@example.com"}`, sender), http.StatusAccepted
	}
	request, err := http.NewRequest(http.MethodPost, "http://"+address+path, io.NopCloser(strings.NewReader(body)))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+access)
	request.Header.Set("Content-Type", "application/json")
	response, err := b.client.Do(request)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, response.Body)
	if err == nil && response.StatusCode != want {
		err = fmt.Errorf("%s%s: %s", address, path, response.Status)
	}
	_ = response.Body.Close()
	return err
}
