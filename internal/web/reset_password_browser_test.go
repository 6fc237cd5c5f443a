package web_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/sesame-auth/sesame/internal/database"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/processtest"
)

const (
	newPassword  = "an even better horse"
	resetSubject = "Reset your Sesame password"
)

// start starts a server where Ada has an account.
func start(t *testing.T, engine databasetest.Engine, settings ...string) *processtest.Server {
	t.Helper()
	server := processtest.New(t, engine, settings...)
	server.Start(t)
	server.Login(t)
	return server
}

func requestReset(t *testing.T, server *processtest.Server, email string) {
	t.Helper()
	if status, _ := server.Post(t, "/auth/forgot-password", `{"email":"`+email+`"}`); status != http.StatusAccepted {
		t.Fatalf("forgot password: %d", status)
	}
}

// A user resets a forgotten password and logs in with the new one.
func TestResetPasswordPage(t *testing.T) {
	b := sharedBrowser(t)
	databasetest.EachLong(t, func(t *testing.T, engine databasetest.Engine) {
		screen := desktop
		if engine == databasetest.Postgres {
			screen = phone
		}
		server := start(t, engine,
			"SESAME_BRAND_NAME=Example & Sons", "SESAME_BRAND_COLOR=#7a1f5c", "SESAME_APP_URL=https://app.example.com/login",
			"SESAME_MIN_PASSWORD_LENGTH=15")
		session := server.Login(t)
		v := b.open(t, server, screen)
		askForLink(v)
		v.openEmail(1, "Reset your Example & Sons password")
		v.checkLayout("mailbox-email")
		v.click("pre a", "#token=")
		chooseNewPassword(v)

		server.CheckLogin(t, "correct horse battery", http.StatusUnauthorized)
		server.CheckLogin(t, newPassword, http.StatusOK)
		if status := server.Authenticate(t, session["accessToken"]); status != http.StatusUnauthorized {
			t.Errorf("access token of an earlier session: %d", status)
		}
		v.openEmail(1, "Your Example & Sons password was changed")
		v.goTo("/dev/mail")
		v.checkLayout("mailbox")
	})
}

func askForLink(v *tab) {
	v.t.Helper()
	v.goTo("/.well-known/change-password")
	v.waitForText("Enter the email of your account")
	v.check(`location.pathname === "/reset-password"`)
	v.checkLayout("reset-ask")
	v.fill("#email", "ada")
	v.click("button", "Send me a link")
	v.waitForText("Enter a valid email address")
	v.check(`document.activeElement.id === "email"`)
	v.fill("#email", " Ada@example.com ")
	v.click("button", "Send me a link")
	v.waitForText("If Ada@example.com has an account")
	v.check(`document.activeElement.id === "sent-title"`)
	v.checkLayout("reset-sent")
}

func chooseNewPassword(v *tab) {
	v.t.Helper()
	v.waitForText("15 to 128 characters")
	v.check(`location.href.endsWith("/reset-password")`)
	v.check(`[password.type, password.autocomplete].join() === "password,new-password"`)
	v.checkLayout("reset-choose")
	for password, message := range map[string]string{
		"an even better":   "The password must have at least 15 characters.",
		"PassWordPassWord": "This password is too common. Choose another one.",
		"examplesons2026": "This password is too similar to your name, your email or the name of this service. " +
			"Choose another one.",
	} {
		v.fill("#password", password)
		v.click("button", "Set new password")
		v.waitForText(message)
		v.check(`document.activeElement.id === "password" && password.ariaInvalid === "true"`)
		v.check(`password.value === "` + password + `"`)
	}
	v.checkLayout("reset-rejected")
	v.click("button", "Show")
	v.check(`password.type === "text" && reveal.innerText === "Hide"`)
	v.fill("#password", newPassword)
	v.click("button", "Set new password")
	v.waitForText("You have been logged out on all devices")
	v.check(`password.type === "password" && document.activeElement.id === "done-title"`)
	v.check(`document.title === "Your password has been changed · Example & Sons"`)
	v.check(`document.querySelector("#done a").href === "https://app.example.com/login"`)
	v.check(`document.querySelector("#done a").innerText === "Continue to Example & Sons"`)
	v.checkLayout("reset-done")
}

// The link also works in the HTML part of the email, and the keyboard is enough for everything.
func TestResetPasswordPageWithTheKeyboard(t *testing.T) {
	b := sharedBrowser(t)
	server := start(t, databasetest.SQLite)
	v := b.open(t, server, desktop)
	v.goTo("/reset-password")
	v.waitForText("Enter the email of your account")
	v.tabTo("#email")
	v.press("ada@example.com", kb.Enter)
	v.waitForText("Check your email")
	v.tabTo("#again")
	v.press(kb.Enter)
	v.check(`document.activeElement.id === "email" && email.value === "ada@example.com"`)

	v.openEmail(1, resetSubject)
	v.tabTo("iframe")
	v.press(kb.Enter)
	v.waitForText("8 to 128 characters")
	v.tabTo("#password")
	v.press(newPassword)
	v.tabTo("#reveal")
	v.press(" ")
	v.check(`password.type === "text" && document.activeElement.ariaLabel === "Hide password"`)
	v.tabTo("button.main")
	v.press(" ")
	v.waitForText("Your password has been changed")
	server.CheckLogin(t, newPassword, http.StatusOK)
}

// The page says at once that a link has expired, and offers a new one, which may be opened in the
// same window. A link that expires while the page is open does not work either.
func TestExpiredResetLink(t *testing.T) {
	b := sharedBrowser(t)
	server := start(t, databasetest.SQLite, "SESAME_THROTTLE=off") // else one email a minute
	v := b.open(t, server, phone)
	requestReset(t, server, "ada@example.com")
	link := v.emailedLink(1, resetSubject)
	v.goTo(link)
	v.waitForText("8 to 128 characters")
	expireLinks(t, server, "one_time_tokens")
	v.fill("#password", newPassword)
	v.click("button", "Set new password")
	v.waitForText("This link does not work It has expired, was already used, or was replaced by a newer one.")
	v.check(`document.activeElement.id === "no-link-title" && password.value === ""`)
	server.CheckLogin(t, newPassword, http.StatusUnauthorized)

	v.goTo("/")
	v.goTo(link)
	v.waitForText("This link does not work It has expired, was already used, or was replaced by a newer one.")
	v.check(`document.activeElement.id === "no-link-title" && location.hash === ""`)
	v.checkLayout("reset-expired")
	v.fill("#email", "ada@example.com")
	v.click("button", "Send me a link")
	v.waitForText("If ada@example.com has an account")

	other := b.open(t, server, desktop)
	v.run(chromedp.Evaluate[chromedp.Void](fmt.Sprintf("location = %q", other.emailedLink(2, resetSubject))))
	v.waitForText("8 to 128 characters")
	v.check(`location.hash === ""`)
	v.fill("#password", newPassword)
	v.click("button", "Set new password")
	v.waitForText("Your password has been changed")
	server.CheckLogin(t, newPassword, http.StatusOK)
}

func TestMalformedResetLinks(t *testing.T) {
	b := sharedBrowser(t)
	v := b.open(t, start(t, databasetest.SQLite), desktop)
	v.goTo("/reset-password#token=" + strings.Repeat("x", 9000))
	v.waitForText("This link does not work")
	v.goTo("/")
	v.goTo("/reset-password#token=%E2%98%83")
	v.waitForText("This link does not work")
}

// expireLinks makes every emailed link expired whose token is in a table.
func expireLinks(t *testing.T, server *processtest.Server, table string) {
	t.Helper()
	db, err := database.Open(t.Context(), server.DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	expired := db.WithContext(t.Context()).Table(table).Where("1 = 1").
		Update("expires_at", time.Now().UTC().Add(-time.Second))
	if err := db.Close(); err != nil || expired.Error != nil || expired.RowsAffected == 0 {
		t.Fatalf("%v, %v, %d rows", err, expired.Error, expired.RowsAffected)
	}
}

// If the server cannot be reached, the page keeps the input. If only the response of a successful
// reset was lost, the page does not say that the reset failed.
func TestResetPasswordPageWithoutAResponse(t *testing.T) {
	b := sharedBrowser(t)
	server := start(t, databasetest.SQLite)
	v := b.open(t, server, desktop)
	requestReset(t, server, "ada@example.com")
	v.goTo(v.emailedLink(1, resetSubject))
	v.fill("#password", newPassword)
	if _, err := server.Stop(t, syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	v.click("button", "Set new password")
	v.waitForText("The server could not be reached. Your input is still here. Try again.")
	v.check(`password.value === "` + newPassword + `" && password.ariaInvalid === null`)
	v.checkLayout("reset-unreachable")
	server.Start(t)

	paused := chromedp.Events(v.ctx, fetch.RequestPaused)
	command(v, fetch.Enable, fetch.EnableParams{
		Patterns: []*fetch.RequestPattern{{URLPattern: "*/auth/reset-password*", RequestStage: fetch.RequestStageResponse}},
	})
	v.check(`document.querySelector("#use-error").textContent = "", true`)
	v.click("button", "Set new password")
	for response, err := range paused {
		if err != nil {
			t.Fatal(err)
		}
		command(v, fetch.FailRequest, fetch.FailRequestParams{
			RequestID: response.RequestID, ErrorReason: network.ErrorReasonConnectionReset,
		})
		break
	}
	command(v, fetch.Disable, cdp.Empty{})
	v.waitForText("The server could not be reached.")
	server.CheckLogin(t, newPassword, http.StatusOK)
	v.click("button", "Set new password")
	v.waitForText("An earlier attempt may have succeeded: try to log in with your new password.")
}

func TestTooManyResetRequests(t *testing.T) {
	b := sharedBrowser(t)
	server := start(t, databasetest.SQLite)
	for i := range 10 {
		requestReset(t, server, fmt.Sprintf("somebody%d@example.com", i))
	}
	v := b.open(t, server, desktop)
	v.goTo("/reset-password")
	v.fill("#email", "somebody@example.com") // not a user who has logged in from here
	v.click("button", "Send me a link")
	v.waitForText("Too many attempts. Try again in 6 minutes.")
	v.check(`email.value === "somebody@example.com"`)
}

// With SESAME_LINK_URL, emails and /.well-known/change-password link to the application's own pages.
func TestLinkURL(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		const base = "https://app.example.com/account"
		const page = base + "/reset-password"
		server := start(t, engine, "SESAME_LINK_URL="+base, "SESAME_BRAND_NAME=Example & Sons")
		requestReset(t, server, "ada@example.com")
		email := server.MustShell(t,
			`until grep -qs 'verify-email#token=' sesame-data/mail/*.eml &&
				grep -qs 'reset-password#token=' sesame-data/mail/*.eml; do sleep 0.1; done; cat sesame-data/mail/*.eml`)
		if !strings.Contains(email, "\n"+base+"/verify-email#token=") {
			t.Errorf("no link to verify the email in\n%s", email)
		}
		link := regexp.MustCompile(`\n` + regexp.QuoteMeta(page) + `#token=([A-Za-z0-9_-]+)\n`).FindStringSubmatch(email)
		if link == nil || !strings.Contains(email, "\nSubject: Reset your Example & Sons password\n") {
			t.Fatalf("the email is\n%s", email)
		}
		changePassword := "http://" + server.API + "/.well-known/change-password"
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, changePassword, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultTransport.RoundTrip(request) // does not follow the redirect
		if err != nil {
			t.Fatal(err)
		}
		if err := response.Body.Close(); err != nil {
			t.Error(err)
		}
		if response.StatusCode != http.StatusSeeOther || response.Header.Get("Location") != page {
			t.Errorf("change-password: %d %v", response.StatusCode, response.Header)
		}
		status, _ := server.Post(t, "/auth/reset-password?token="+link[1], `{"password":"`+newPassword+`"}`)
		if status != http.StatusOK {
			t.Errorf("reset: %d", status)
		}
		server.CheckLogin(t, newPassword, http.StatusOK)
	})
}
