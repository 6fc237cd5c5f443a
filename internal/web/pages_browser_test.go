package web_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/processtest"
	"github.com/sesame-auth/sesame/internal/totp"
)

// The API documentation sends requests with a token that the user pastes.
func TestDocsWithAToken(t *testing.T) {
	b := sharedBrowser(t)
	server := start(t, databasetest.SQLite)
	tokens := server.Login(t)
	v := b.open(t, server, desktop)
	v.goTo("/docs")
	v.waitForText("Welcome authenticated user")
	v.screenshot("docs-desktop")
	v.click("button", "Authorize")
	v.fill(".auth-container input", tokens["accessToken"])
	v.click(".auth-btn-wrapper button", "Authorize")
	v.click(".auth-btn-wrapper button", "Close")
	v.click(".opblock-summary-control", "Welcome authenticated user")
	v.click("button", "Try it out")
	v.click("button", "Execute")
	v.waitForText(`"message": "Welcome, Ada"`)
	v.checkLayout("docs-tried")

	v = b.open(t, server, phone)
	v.goTo("/docs")
	v.waitForText("Welcome authenticated user")
	v.checkLayout("docs")
}

// The API documentation sends requests with the token of a user who logs in on the page.
func TestDocsWithALogin(t *testing.T) {
	b := sharedBrowser(t)
	server := start(t, databasetest.SQLite)
	for _, screen := range screens(desktop, phone, dark) {
		v := b.open(t, server, screen)
		v.goTo("/docs")
		v.waitForText("Welcome authenticated user")
		v.checkLayout("docs-closed")
		v.click("#log-in", "Log in")
		v.check(`dialog.open && document.activeElement.id === "email"`)
		v.click("#dialog button", "Log in")
		v.waitForText("Enter your email and password.")
		v.fill("#email", "ada@example.com")
		v.fill("#password", "a wrong password")
		v.click("#dialog button", "Log in")
		v.waitForText("The email or password is incorrect.")
		v.checkLayout("docs-log-in")
		v.fill("#password", "correct horse battery")
		v.press(kb.Enter)
		v.waitForText("Logged in as ada@example.com")
		v.check(`!dialog.open && document.activeElement.id === "log-out"`)
		v.check(`document.getElementById("password").value === ""`)
		v.click(".opblock-summary-control", "Welcome authenticated user")
		v.click("button", "Try it out")
		v.click("button", "Execute")
		v.waitForText(`"message": "Welcome, Ada"`)
		v.checkLayout("docs-logged-in")
		v.click("#log-out", "Log out")
		v.check(`!document.getElementById("log-in").hidden && document.getElementById("session").hidden`)
		v.click("button", "Execute")
		v.waitForText(`"code": "invalid_access_token"`)
	}
}

// A user with a second factor logs in on the page with a recovery code. Closing the dialog starts
// again.
func TestDocsWithASecondFactor(t *testing.T) {
	server := start(t, databasetest.SQLite, "SESAME_EMAIL_VERIFICATION=off")
	bearer := "Bearer " + server.Login(t)["accessToken"]
	_, enrolled := server.Post(t, "/auth/factors/totp", "", "Authorization", bearer)
	secret, err := totp.ParseSecret(enrolled["secret"])
	if err != nil {
		t.Fatal(err)
	}
	body := `{"code":"` + secret.Code(totp.Step(time.Now())) + `"}`
	status, confirmed := server.Post(t, "/auth/factors/totp/confirm", body, "Authorization", bearer)
	if status != http.StatusOK {
		t.Fatalf("confirm: %d", status)
	}
	codes := strings.Fields(strings.Trim(confirmed["recoveryCodes"], "[]"))
	v := sharedBrowser(t).open(t, server, desktop)
	v.goTo("/docs")
	v.waitForText("Welcome authenticated user")
	v.click("#log-in", "Log in")
	logIn := func() {
		t.Helper()
		v.fill("#email", processtest.Email)
		v.fill("#password", processtest.Password)
		v.press(kb.Enter)
		v.waitForText("Enter a code from your authenticator app, or a recovery code.")
		v.check(`document.activeElement.id === "code"`)
	}
	logIn()
	v.checkLayout("docs-code")
	v.click("#dialog button", "Cancel")
	v.click("#log-in", "Log in")
	logIn()
	v.fill("#code", "123456789")
	v.press(kb.Enter)
	v.waitForText("The code is incorrect, has expired, or was already used.")
	v.fill("#code", codes[0])
	v.press(kb.Enter)
	v.waitForText("Logged in as " + processtest.Email)
}

// The error page leads to the start page, and the start page to the others.
func TestStartPage(t *testing.T) {
	b := sharedBrowser(t)
	server := start(t, databasetest.SQLite,
		"SESAME_BRAND_NAME=Example & Sons", "SESAME_BRAND_COLOR=#7a1f5c", "SESAME_APP_URL=https://app.example.com/")
	for _, screen := range screens(desktop, phone) {
		v := b.open(t, server, screen)
		v.goTo("/problems/nothing")
		v.waitForText("Page not found")
		v.checkLayout("not-found")
		v.click("a", "Go to the start page")
		v.waitForText("Continue to Example & Sons")
		v.check(`location.pathname === "/"`)
		v.checkLayout("home")
		v.click("a", "Reset your password")
		v.waitForText("Enter the email of your account")
	}
}

func TestProblemPages(t *testing.T) {
	b := sharedBrowser(t)
	server := start(t, databasetest.SQLite)
	for _, screen := range screens(desktop, phone) {
		v := b.open(t, server, screen)
		v.goTo("/problems")
		v.waitForText("unsupported_media_type")
		v.checkLayout("problems")
		v.click("a", "Invalid refresh token")
		v.waitForText("status 400 or 401")
		v.checkLayout("problem")
		v.click("a", "All problems")
		v.waitForText("unsupported_media_type")
	}
}

func TestEmptyMailbox(t *testing.T) {
	b := sharedBrowser(t)
	server := processtest.New(t, databasetest.SQLite)
	server.Start(t)
	for _, screen := range screens(desktop, phone) {
		v := b.open(t, server, screen)
		v.goTo("/dev/mail")
		v.waitForText("There are no emails yet")
		v.checkLayout("mailbox-empty")
	}
}
