package main

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/sesame-auth/sesame/internal/database"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
)

// serveAda is a server where Ada has an account.
func serveAda(t *testing.T, engine databasetest.Engine, environment ...string) *process {
	t.Helper()
	p := newProcess(t, engine, environment...)
	p.start(t)
	p.login(t)
	return p
}

// expectLogin asserts what a login of Ada answers.
func (p *process) expectLogin(t *testing.T, password string, want int) {
	t.Helper()
	if status, _ := p.post(t, "/auth/login", `{"email":"ada@example.com","password":"`+password+`"}`); status != want {
		t.Errorf("login with %q answers %d, want %d", password, status, want)
	}
}

const lastWorks = "an even better horse"

// From the forgotten password to the login with a new one, in a browser and with nothing else.
func TestResetInABrowser(t *testing.T) {
	b := newBrowser(t)
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := desktop
		if engine == databasetest.Postgres {
			s = phone
		}
		p := serveAda(t, engine, "SESAME_BRAND_NAME=Example & Sons", "SESAME_BRAND_COLOR=#7a1f5c", "SESAME_APP_URL=https://app.example.com/login")
		session := p.login(t)
		v := b.open(t, p, s)
		v.goTo("/dev/mail")
		v.sees("There are no emails yet")
		v.looksRight("mailbox-empty")

		v.goTo("/.well-known/change-password")
		v.sees("Enter the email of your account")
		v.holds(`location.pathname === "/reset-password"`)
		v.looksRight("reset-ask")
		v.fill("#email", "ada")
		v.click("button", "Send me a link")
		v.sees("Enter a valid email address")
		v.holds(`document.activeElement.id === "email"`)
		v.fill("#email", " Ada@example.com ")
		v.click("button", "Send me a link")
		v.sees("If Ada@example.com has an account")
		v.holds(`document.activeElement.id === "sent-title"`)
		v.looksRight("reset-sent")

		v.openLetter(1, "Reset your Example & Sons password")
		v.looksRight("mailbox-letter")
		v.click("pre a", "#token=")
		v.sees("8 to 128 characters")
		v.holds(`location.href.endsWith("/reset-password")`)
		v.holds(`[password.type, password.autocomplete].join() === "password,new-password"`)
		v.looksRight("reset-choose")
		for typed, answer := range map[string]string{
			"short":           "The password must have at least 8 characters.",
			"PassWord":        "This password is too common. Choose another one.",
			"examplesons2026": "This password is too similar to your name, your email or the name of this service. Choose another one.",
		} {
			v.fill("#password", typed)
			v.click("button", "Set new password")
			v.sees(answer)
			v.holds(`document.activeElement.id === "password" && password.value === "` + typed + `" && password.ariaInvalid === "true"`)
		}
		v.looksRight("reset-fault")
		v.click("button", "Show")
		v.holds(`password.type === "text" && reveal.innerText === "Hide"`)
		v.fill("#password", lastWorks)
		v.click("button", "Set new password")
		v.sees("You have been logged out on all devices")
		v.holds(`password.type === "password" && document.activeElement.id === "done-title" && document.title === "Your password has been changed · Example & Sons"`)
		v.holds(`document.querySelector("#done a").href === "https://app.example.com/login" && document.querySelector("#done a").innerText === "Continue to Example & Sons"`)
		v.looksRight("reset-done")

		p.expectLogin(t, "correct horse battery", http.StatusUnauthorized)
		p.expectLogin(t, lastWorks, http.StatusOK)
		if status, _ := p.post(t, "/auth", "", "Authorization", "Bearer "+session["accessToken"]); status != http.StatusUnauthorized {
			t.Errorf("a session from before answers %d", status)
		}
		v.openLetter(2, "Your Example & Sons password was changed")
		v.goTo("/dev/mail")
		v.looksRight("mailbox")
	})
}

// openLetter opens the newest mail once there are as many as that, and asserts what it is about.
func (v *tab) openLetter(count int, subject string) {
	v.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); ; <-tick.C {
		v.goTo("/dev/mail")
		if value[int](v, `document.querySelectorAll("li").length`) == count {
			break
		}
		if time.Now().After(deadline) {
			v.t.Fatalf("there are not %d mails:\n%s", count, v.text())
		}
	}
	v.click("li a", "")
	v.sees("HTML")
	v.sees(subject)
}

// A mail's link can be opened from its HTML too, and everything can be done without a mouse.
func TestResetByKeyboard(t *testing.T) {
	b := newBrowser(t)
	p := serveAda(t, databasetest.SQLite)
	v := b.open(t, p, desktop)
	v.goTo("/reset-password")
	v.sees("Enter the email of your account")
	v.tabTo("#email")
	v.press("ada@example.com", kb.Enter)
	v.sees("Check your email")
	v.tabTo("#again")
	v.press(kb.Enter)
	v.holds(`document.activeElement.id === "email" && email.value === "ada@example.com"`)

	v.openLetter(1, "Reset your Sesame password")
	v.tabTo("iframe")
	v.press(kb.Enter)
	v.sees("8 to 128 characters")
	v.tabTo("#password")
	v.press(lastWorks)
	v.tabTo("#reveal")
	v.press(" ")
	v.holds(`password.type === "text" && document.activeElement.ariaLabel === "Hide password"`)
	v.tabTo("button.main")
	v.press(" ")
	v.sees("Your password has been changed")
	p.expectLogin(t, lastWorks, http.StatusOK)
}

// resetLink is the link in the newest of so many mails.
func (v *tab) resetLink(count int) string {
	v.t.Helper()
	v.openLetter(count, "Reset your Sesame password")
	link := regexp.MustCompile(`/reset-password#token=\S+`).FindString(v.text())
	if link == "" {
		v.t.Fatalf("no link:\n%s", v.text())
	}
	return link
}

func (p *process) forgets(t *testing.T, address string) {
	t.Helper()
	if status, _ := p.post(t, "/auth/forgot-password", `{"email":"`+address+`"}`); status != http.StatusAccepted {
		t.Fatalf("forgot password: %d", status)
	}
}

// Where a link does not work any more, a new one is had in place; and that one may be opened in the same window.
func TestLinksThatDoNotWork(t *testing.T) {
	b := newBrowser(t)
	p := serveAda(t, databasetest.SQLite, "SESAME_THROTTLE=off") // an address gets one letter a minute
	v := b.open(t, p, phone)
	p.forgets(t, "ada@example.com")
	link := v.resetLink(1)
	p.expireResetTokens(t)
	v.goTo(link)
	v.sees("8 to 128 characters")
	v.fill("#password", lastWorks)
	v.click("button", "Set new password")
	v.sees("This link does not work It has expired, was already used, or was replaced by a newer one.")
	v.holds(`document.activeElement.id === "ask-title" && password.value === ""`)
	v.looksRight("reset-expired")
	p.expectLogin(t, lastWorks, http.StatusUnauthorized)
	v.fill("#email", "ada@example.com")
	v.click("button", "Send me a link")
	v.sees("If ada@example.com has an account")

	other := b.open(t, p, desktop)
	v.does(chromedp.Evaluate[chromedp.Void](fmt.Sprintf("location = %q", other.resetLink(2))))
	v.sees("8 to 128 characters")
	v.holds(`location.hash === ""`)
	v.fill("#password", lastWorks)
	v.click("button", "Set new password")
	v.sees("Your password has been changed")
	p.expectLogin(t, lastWorks, http.StatusOK)

	v.goTo("/reset-password?token=in-the-query") // it would have been in every log on the way
	v.sees("Enter the email of your account")
	v.holds(`location.search === ""`)
	v.goTo("/reset-password#token=" + strings.Repeat("x", 9000))
	v.sees("8 to 128 characters")
	v.fill("#password", lastWorks)
	v.click("button", "Set new password")
	v.sees("This link does not work")
}

func (p *process) expireResetTokens(t *testing.T) {
	t.Helper()
	db, err := database.Open(t.Context(), p.database)
	if err != nil {
		t.Fatal(err)
	}
	expired := db.WithContext(t.Context()).Table("one_time_tokens").Where("1 = 1").Update("expires_at", time.Now().UTC().Add(-time.Second))
	if err := db.Close(); err != nil || expired.Error != nil || expired.RowsAffected != 1 {
		t.Fatalf("%v, %v, %d rows", err, expired.Error, expired.RowsAffected)
	}
}

// Without an answer what was typed stays, and a reset that had succeeded is not told as a failure.
func TestAnswersThatAreLost(t *testing.T) {
	b := newBrowser(t)
	p := serveAda(t, databasetest.SQLite)
	v := b.open(t, p, desktop)
	p.forgets(t, "ada@example.com")
	v.goTo(v.resetLink(1))
	v.fill("#password", lastWorks)
	if _, err := p.end(t, syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	v.click("button", "Set new password")
	v.sees("The server could not be reached. Your input is still here. Try again.")
	v.holds(`password.value === "` + lastWorks + `" && password.ariaInvalid === null`)
	v.looksRight("reset-unreachable")
	p.start(t)

	lost := chromedp.Events(v.ctx, fetch.RequestPaused)
	command(v, fetch.Enable, fetch.EnableParams{
		Patterns: []*fetch.RequestPattern{{URLPattern: "*/auth/reset-password*", RequestStage: fetch.RequestStageResponse}},
	})
	v.holds(`document.querySelector("#choose-error").textContent = "", true`)
	v.click("button", "Set new password")
	for answer, err := range lost {
		if err != nil {
			t.Fatal(err)
		}
		command(v, fetch.FailRequest, fetch.FailRequestParams{RequestID: answer.RequestID, ErrorReason: network.ErrorReasonConnectionReset})
		break
	}
	command(v, fetch.Disable, cdp.Empty{})
	v.sees("The server could not be reached.")
	p.expectLogin(t, lastWorks, http.StatusOK) // it was set, and only the answer lost
	v.click("button", "Set new password")
	v.sees("An earlier attempt may have succeeded: try to log in with your new password.")
}

// Who asks too often is told for how long to wait.
func TestTooManyAttempts(t *testing.T) {
	b := newBrowser(t)
	p := serveAda(t, databasetest.SQLite)
	for i := range 10 {
		p.forgets(t, fmt.Sprintf("somebody%d@example.com", i))
	}
	v := b.open(t, p, desktop)
	v.goTo("/reset-password")
	v.fill("#email", "ada@example.com")
	v.click("button", "Send me a link")
	v.sees("Too many attempts. Try again in 6 minutes.")
	v.holds(`email.value === "ada@example.com"`)
}

// Without JavaScript the page says what to do, and no form is there that a browser would send by itself.
func TestWithoutJavaScript(t *testing.T) {
	b := newBrowser(t)
	p := serveAda(t, databasetest.SQLite)
	v := b.open(t, p, phone)
	command(v, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	v.goTo("/reset-password#token=x")
	v.keep("reset-noscript")
	v.does(chromedp.WaitVisible(chromedp.CSS("noscript h1")), chromedp.WaitNotVisible(chromedp.CSS("form")))
}

// The contract can be tried with a token, from its own page.
func TestContractIsTried(t *testing.T) {
	b := newBrowser(t)
	p := serveAda(t, databasetest.SQLite)
	tokens := p.login(t)
	v := b.open(t, p, desktop)
	v.goTo("/docs")
	v.sees("Welcome authenticated user")
	v.keep("docs-desktop")
	v.click("button", "Authorize")
	v.fill(".auth-container input", tokens["accessToken"])
	v.click(".auth-btn-wrapper button", "Authorize")
	v.click(".auth-btn-wrapper button", "Close")
	v.click(".opblock-summary-control", "Welcome authenticated user")
	v.click("button", "Try it out")
	v.click("button", "Execute")
	v.sees(`"message": "Welcome, Ada"`)
	v.looksRight("docs-tried")

	v = b.open(t, p, phone)
	v.goTo("/docs")
	v.sees("Welcome authenticated user")
	v.looksRight("docs")
}

// The API documentation can be used after a login in the page, also in the dark theme.
func TestLogInToTheDocs(t *testing.T) {
	b := newBrowser(t)
	p := serveAda(t, databasetest.SQLite)
	for _, s := range []viewport{desktop, phone, {name: "dark", width: 1280, height: 800, dark: true}} {
		v := b.open(t, p, s)
		v.goTo("/docs")
		v.sees("Welcome authenticated user")
		v.looksRight("docs-closed")
		v.click("#log-in", "Log in")
		v.holds(`dialog.open && document.activeElement.id === "email"`)
		v.click("#dialog button", "Log in")
		v.sees("Enter your email and password.")
		v.fill("#email", "ada@example.com")
		v.fill("#password", "a wrong password")
		v.click("#dialog button", "Log in")
		v.sees("The email or password is incorrect.")
		v.looksRight("docs-log-in")
		v.fill("#password", "correct horse battery")
		v.press(kb.Enter)
		v.sees("Logged in as ada@example.com")
		v.holds(`!dialog.open && document.activeElement.id === "log-out" && document.getElementById("password").value === ""`)
		v.click(".opblock-summary-control", "Welcome authenticated user")
		v.click("button", "Try it out")
		v.click("button", "Execute")
		v.sees(`"message": "Welcome, Ada"`)
		v.looksRight("docs-logged-in")
		v.click("#log-out", "Log out")
		v.holds(`!document.getElementById("log-in").hidden && document.getElementById("session").hidden`)
		v.click("button", "Execute")
		v.sees(`"code": "invalid_access_token"`)
	}
}

// The start page and the page of an error lead to the others.
func TestStartPage(t *testing.T) {
	b := newBrowser(t)
	p := serveAda(t, databasetest.SQLite, "SESAME_BRAND_NAME=Example & Sons", "SESAME_BRAND_COLOR=#7a1f5c", "SESAME_APP_URL=https://app.example.com/")
	for _, s := range []viewport{desktop, phone} {
		v := b.open(t, p, s)
		v.goTo("/problems/nothing")
		v.sees("Page not found")
		v.looksRight("not-found")
		v.click("a", "Go to the start page")
		v.sees("Continue to Example & Sons")
		v.holds(`location.pathname === "/"`)
		v.looksRight("home")
		v.click("a", "Reset your password")
		v.sees("Enter the email of your account")
	}
}

func TestProblemPages(t *testing.T) {
	b := newBrowser(t)
	p := serveAda(t, databasetest.SQLite)
	for _, s := range []viewport{desktop, phone} {
		v := b.open(t, p, s)
		v.goTo("/problems")
		v.sees("unsupported_media_type")
		v.looksRight("problems")
		v.click("a", "Invalid refresh token")
		v.sees("status 400 or 401")
		v.looksRight("problem")
		v.click("a", "All problems")
		v.sees("unsupported_media_type")
	}
}

// Links lead to a team's own page when there is one, and so does the well-known address.
func TestResetURL(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		const own = "https://app.example.com/new-password"
		p := serveAda(t, engine, "SESAME_RESET_URL="+own, "SESAME_BRAND_NAME=Example & Sons")
		p.forgets(t, "ada@example.com")
		letter := p.shell(t, `until grep -qs '#token=' sesame-data/mail/*.eml; do sleep 0.1; done; cat sesame-data/mail/*.eml`)
		found := regexp.MustCompile(`\n` + regexp.QuoteMeta(own) + `#token=([A-Za-z0-9_-]+)\n`).FindStringSubmatch(letter)
		if found == nil || !strings.Contains(letter, "\nSubject: Reset your Example & Sons password\n") {
			t.Fatalf("the letter:\n%s", letter)
		}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+p.api+"/.well-known/change-password", nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultTransport.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		if err := response.Body.Close(); err != nil || response.StatusCode != http.StatusSeeOther || response.Header.Get("Location") != own {
			t.Errorf("change-password: %v %v", response.StatusCode, response.Header)
		}
		if status, _ := p.post(t, "/auth/reset-password?token="+found[1], `{"password":"`+lastWorks+`"}`); status != http.StatusOK {
			t.Errorf("reset: %d", status)
		}
		p.expectLogin(t, lastWorks, http.StatusOK)
	})
}
