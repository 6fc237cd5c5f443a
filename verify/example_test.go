package verify_test

import (
	"fmt"
	"log"
	"net/http"

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
