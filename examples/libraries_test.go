package examples_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/processtest"
)

// A library is a section of docs/verify.md: its code, and the rest of a program that contains it.
type library struct {
	name       string
	program    string // CODE is the code of the documentation
	without    string // a line of the code that is left out
	algorithms []string
	limits     limits
}

var both = []string{"ES256", "EdDSA"}

const listenWithHono = `
import { serve } from "@hono/node-server";
serve({ fetch: app.fetch, port: 0, hostname: "127.0.0.1" }, ({ port }) =>
  console.log("listening on http://127.0.0.1:" + port));
`

const listenWithFastify = `
app.get("/whoami", async (request) => ({ user: request.user.sub }));
console.log("listening on " + await app.listen({ port: 0, host: "127.0.0.1" }));
`

const express = `CODE
app.get("/whoami", (request, response) => response.json({ user: request.auth.payload.sub }));
const server = app.listen(0, "127.0.0.1", () =>
  console.log("listening on http://127.0.0.1:" + server.address().port));
`

var nodeLibraries = []library{
	{name: "express", algorithms: both, program: express},
	{name: "express", algorithms: both, program: express, without: `tokenSigningAlg: "ES256",`},
	{name: "hono", algorithms: both, limits: limits{needsServer: true}, program: `CODE
app.get("/whoami", (c) => c.json({ user: c.get("jwtPayload").sub }));
` + listenWithHono},
	{name: "hono with jose", algorithms: both, program: `CODE
app.get("/whoami", (c) => c.json({ user: c.get("user") }));
` + listenWithHono},
	{name: "fastify", algorithms: both, program: "CODE" + listenWithFastify},
	{
		name: "fastify-jwt-jwks", algorithms: []string{"EdDSA"},
		limits:  limits{noChallenge: true, keepsRevoked: true},
		program: "CODE" + listenWithFastify,
	},
}

const goOIDC = `package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"net/http"
	"strings"

	"github.com/coreos/go-oidc/v3/oidc"
)

CODE

func main() {
	verifier, err := newVerifier(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	http.HandleFunc("GET /whoami", func(w http.ResponseWriter, r *http.Request) {
		text, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		token, err := verifier.Verify(r.Context(), text)
		w.Header().Set("Content-Type", "application/json")
		if err != nil {
			w.Header().Set("WWW-Authenticate", "Bearer realm=\"api\"")
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		json.NewEncoder(w).Encode(map[string]string{"user": token.Subject})
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening on http://" + listener.Addr().String())
	log.Fatal(http.Serve(listener, nil))
}
`

var goLibraries = []library{
	{name: "go-oidc", algorithms: both, limits: limits{anyType: true}, program: goOIDC},
	{
		name: "go-oidc", algorithms: both, limits: limits{anyType: true}, program: goOIDC,
		without: "SupportedSigningAlgs: []string{oidc.ES256},", // it is in the metadata
	},
}

// source returns the program that verifies tokens with the code of docs/verify.md.
func (l library) source(t *testing.T, issuer, algorithm string) string {
	t.Helper()
	content, err := os.ReadFile("../docs/verify.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(content), "<!-- "+l.name+": a test runs this code -->\n```")
	_, code, _ := strings.Cut(rest, "\n") // the language
	code, _, _ = strings.Cut(code, "```")
	for _, expected := range []string{"https://auth.example.com", audience, l.without} {
		if !found || !strings.Contains(code, expected) {
			t.Fatalf("docs/verify.md has no code %q that contains %q", l.name, expected)
		}
	}
	code = strings.ReplaceAll(code, "https://auth.example.com", issuer)
	if l.without != "" {
		code = strings.Replace(code, l.without, "", 1)
	}
	code = strings.ReplaceAll(code, "ES256", algorithm)
	return strings.Replace(l.program, "CODE", code, 1)
}

// The code of docs/verify.md accepts only the server's access tokens, with each library and each
// algorithm that the library knows.
func TestLibraries(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	run := func(l library, start starter) {
		name := l.name
		if l.without != "" {
			name += " with the metadata"
		}
		for _, algorithm := range l.algorithms {
			t.Run(name+" "+algorithm, func(t *testing.T) {
				testService(t, databasetest.SQLite, algorithm, start, l.limits)
			})
		}
	}
	write := func(t *testing.T, path, content string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, l := range goLibraries {
		run(l, func(t *testing.T, issuer, _, algorithm string) service {
			folder := t.TempDir()
			if err := os.CopyFS(folder, os.DirFS("testdata/go-oidc")); err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(folder, "main.go"), l.source(t, issuer, algorithm))
			processtest.Program(t, folder, nil, "go", "build", "-o", "service")
			return startService(t, l.name, folder, filepath.Join(folder, "service"))
		})
	}
	folder := npmInstall(t, "testdata/node")
	for _, l := range nodeLibraries {
		run(l, func(t *testing.T, issuer, _, algorithm string) service {
			program := filepath.Join(folder, "main.mjs")
			write(t, program, l.source(t, issuer, algorithm))
			return startService(t, l.name, folder, "node", program)
		})
	}
}
