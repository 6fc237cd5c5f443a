package verify_test

import (
	"fmt"
	"log"
	"net/http"
	"time"

	"github.com/sesame-auth/sesame/verify"
)

func Example() {
	// The server's SESAME_PUBLIC_URL and SESAME_AUDIENCE.
	verifier, err := verify.New("https://auth.example.com", "https://api.example.com")
	if err != nil {
		log.Fatal(err)
	}
	orders := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		claims, _ := verify.FromContext(r.Context())
		fmt.Fprintln(w, "the orders of", claims.Subject)
	})
	mux := http.NewServeMux()
	mux.Handle("GET /orders", verifier.Middleware(orders))
	log.Fatal(http.ListenAndServe("127.0.0.1:9000", mux))
}

// Orders need a login, transfers one within the last ten minutes with two factors. The claims are
// in the context only behind Verifier.Middleware.
func ExampleVerifier_RequireRecent() {
	verifier, err := verify.New("https://auth.example.com", "https://api.example.com")
	if err != nil {
		log.Fatal(err)
	}
	isRecent, hasTwoFactors := verifier.RequireRecent(10*time.Minute), verifier.RequireACR("aal2")
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		claims, _ := verify.FromContext(r.Context())
		fmt.Fprintln(w, claims.Subject, "logged in at", claims.AuthTime)
	})
	mux := http.NewServeMux()
	mux.Handle("GET /orders", verifier.Middleware(handler))
	mux.Handle("POST /transfers", verifier.Middleware(hasTwoFactors(isRecent(handler))))
	log.Fatal(http.ListenAndServe("127.0.0.1:9000", mux))
}
