// Service-go is a service that accepts Sesame's access tokens: GET /whoami returns the user of the
// token.
//
//	go run ./examples/service-go -issuer http://127.0.0.1:8080 -audience http://127.0.0.1:8080
//	curl -sS http://127.0.0.1:8090/whoami -H "Authorization: Bearer $access"
package main

import (
	"context"
	"encoding/json"
	"flag"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/sesame-auth/sesame/verify"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8090", "where to listen")
	issuer := flag.String("issuer", "http://127.0.0.1:8080", "SESAME_PUBLIC_URL")
	audience := flag.String("audience", "http://127.0.0.1:8080", "SESAME_AUDIENCE")
	flag.Parse()

	verifier, err := verify.New(*issuer, *audience)
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /whoami", verifier.Middleware(http.HandlerFunc(whoami)))

	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", *addr)
	if err != nil {
		log.Fatal(err)
	}
	log.Printf("listening on http://%s", listener.Addr())
	server := &http.Server{Handler: mux, ReadTimeout: 10 * time.Second}
	log.Fatal(server.Serve(listener))
}

func whoami(w http.ResponseWriter, r *http.Request) {
	claims, _ := verify.FromContext(r.Context()) // the middleware has added them
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(map[string]string{"user": claims.Subject}); err != nil {
		log.Print(err)
	}
}
