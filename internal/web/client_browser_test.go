package web_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/processtest"
)

// clientPage uses the npm package. The frames of a page share its storage, like tabs.
const clientPage = `<!doctype html>
<link rel="icon" href="data:,">
<script type="importmap">{"imports": {
	"@sesame-auth/client": "/dist/index.js", "openapi-fetch": "/node_modules/openapi-fetch/dist/index.mjs"
}}</script>
<script type="module">
	import { Session } from "@sesame-auth/client";
	import { localStorageTokens } from "/build/examples/local-storage.js";
	window.session = new Session({ server: "http://%s", storage: localStorageTokens() });
	window.types = [];
	window.stop = session.onChange(({ type }) => types.push(type));
</script>`

// A page of a listed origin calls the API with the npm package and with headers of its own, and
// sees what happens to the session in another tab.
func TestPageOfAnotherOrigin(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	folder := processtest.TypeScriptPackage(t, "../..")
	processtest.Program(t, folder, nil, "node", "node_modules/typescript/bin/tsc", "--project", "test")
	var server *processtest.Server
	files := http.FileServer(http.Dir(folder))
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			files.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/html")
		_, _ = fmt.Fprintf(w, clientPage, server.API)
	}))
	defer app.Close()
	server = start(t, databasetest.SQLite, "SESAME_CORS_ORIGINS="+app.URL)
	v := sharedBrowser(t).open(t, server, desktop)
	v.mu.Lock()
	v.app = strings.TrimPrefix(app.URL, "http://")
	v.mu.Unlock()
	v.run(chromedp.Navigate(app.URL))
	v.waitFor("window.session")
	const addFrame = `document.body.append(document.createElement("iframe")); frames[0].location = "/"; 0`
	v.run(chromedp.Evaluate[chromedp.Void](addFrame))
	v.waitFor("frames[0].session")

	call := func(expression string) string {
		t.Helper()
		return value[string](v, "(async () => "+expression+")()", chromedp.EvalAwaitPromise)
	}
	login := fmt.Sprintf("String(await session.login(%q, %q))", processtest.Email, processtest.Password)
	call(login)
	v.waitFor(`frames[0].types.join() === "logged-in" && frames[0].session.isLoggedIn`)
	const traced = `JSON.stringify(await (await %s.fetch("http://%s/auth", { method: "POST", headers: {
		traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", baggage: "a=b", "sentry-trace": "c-d-1",
	} })).json())`
	for _, session := range []string{"session", "frames[0].session"} {
		if welcome := call(fmt.Sprintf(traced, session, server.API)); !strings.Contains(welcome, "Welcome, Ada") {
			t.Errorf("%s returns %s", session, welcome)
		}
	}
	const due = `(() => {
		const tokens = JSON.parse(localStorage.getItem("sesame"));
		localStorage.setItem("sesame", JSON.stringify({ ...tokens, refreshAt: 0 }));
	})()`
	v.run(chromedp.Evaluate[chromedp.Void](due))
	call("(await frames[0].session.authenticate()).name")
	v.waitFor(`types.join() === "logged-in,refreshed"`)
	call("String(await session.logout())")
	v.waitFor(`frames[0].types.join() === "logged-in,refreshed,logged-out" && !frames[0].session.isLoggedIn`)
	v.check(`types.join() === frames[0].types.join()`)
	v.run(chromedp.Evaluate[chromedp.Void]("frames[0].stop()"))
	call(login)
	call("(await frames[0].session.authenticate()).name") // it reads the storage
	v.check(`types.length === 4 && frames[0].types.length === 3`)
}
