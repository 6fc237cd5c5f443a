package web_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/processtest"
)

const (
	wrongPassword  = "not the right horse"
	verifySubject  = "Verify your email for Sesame"
	confirmSubject = "Confirm your new email for Sesame"
	changedSubject = "Your Sesame email was changed"
)

// linkPages are the pages that emailed links open.
var linkPages = []string{"/reset-password", "/verify-email", "/confirm-email-change", "/undo-email-change"}

// login logs in and returns the access token.
func login(t *testing.T, server *processtest.Server, email, password string) string {
	t.Helper()
	status, tokens := server.Post(t, "/auth/login", `{"email":"`+email+`","password":"`+password+`"}`)
	if status != http.StatusOK {
		t.Fatalf("login of %s: %d", email, status)
	}
	return tokens["accessToken"]
}

// checkVerified fails the test unless the email of an account is verified or not, as wanted.
func checkVerified(t *testing.T, server *processtest.Server, accessToken string, want bool) {
	t.Helper()
	status, welcome := server.Post(t, "/auth", "", "Authorization", "Bearer "+accessToken)
	if status != http.StatusOK || welcome["emailVerified"] != strconv.FormatBool(want) {
		t.Errorf("status %d, emailVerified is %q, want %t", status, welcome["emailVerified"], want)
	}
}

func changeEmail(t *testing.T, server *processtest.Server, email string) {
	t.Helper()
	status, _ := server.Post(t, "/auth/change-email", `{"email":"`+email+`","password":"`+processtest.Password+`"}`,
		"Authorization", "Bearer "+server.Login(t)["accessToken"])
	if status != http.StatusAccepted {
		t.Fatalf("change email: %d", status)
	}
}

// A user registers, opens the link in the email, and enters the password.
func TestVerifyEmailPage(t *testing.T) {
	b := sharedBrowser(t)
	databasetest.EachLong(t, func(t *testing.T, engine databasetest.Engine) {
		screen := desktop
		if engine == databasetest.Postgres {
			screen = phone
		}
		server := start(t, engine,
			"SESAME_BRAND_NAME=Example & Sons", "SESAME_BRAND_COLOR=#7a1f5c", "SESAME_APP_URL=https://app.example.com/login")
		accessToken := server.Login(t)["accessToken"]
		v := b.open(t, server, screen)
		v.openEmail(1, "Verify your email for Example & Sons")
		v.click("pre a", "#token=")
		v.waitForText("Enter the password of your Example & Sons account.")
		v.check(`location.href.endsWith("/verify-email") && document.activeElement.id === "use-title"`)
		v.check(`[password.type, password.autocomplete].join() === "password,current-password"`)
		v.checkLayout("verify-use")
		checkVerified(t, server, accessToken, false) // an attacker may have registered with this email

		v.click("button", "Verify email")
		v.waitForText("Enter the password of your account.")
		v.fill("#password", wrongPassword)
		v.click("button", "Verify email")
		v.waitForText("The password is incorrect.")
		v.check(`document.activeElement.id === "password" && password.ariaInvalid === "true"`)
		v.check(`password.value === "` + wrongPassword + `"`)
		v.checkLayout("verify-rejected")
		checkVerified(t, server, accessToken, false)

		v.click("button", "Show")
		v.check(`password.type === "text" && reveal.innerText === "Hide"`)
		v.fill("#password", processtest.Password)
		v.click("button", "Verify email")
		v.waitForText("Your email is verified")
		v.check(`password.type === "password" && document.activeElement.id === "done-title"`)
		v.check(`document.title === "Your email is verified · Example & Sons"`)
		v.check(`document.querySelector("#done a").href === "https://app.example.com/login"`)
		v.checkLayout("verify-done")
		checkVerified(t, server, accessToken, true)
		checkStoresNothing(v)
	})
}

// checkStoresNothing fails the test if the page has stored something in the browser.
func checkStoresNothing(v *tab) {
	v.t.Helper()
	v.check(`localStorage.length + sessionStorage.length + document.cookie.length === 0 && history.state === null`)
}

// The page says at once that a link was used, and sends a new one.
func TestUsedVerificationLink(t *testing.T) {
	b := sharedBrowser(t)
	server := start(t, databasetest.SQLite, "SESAME_THROTTLE=off") // else one email a minute
	v := b.open(t, server, dark)
	link := v.emailedLink(1, verifySubject)
	expireLinks(t, server, "one_time_tokens")
	v.goTo(link)
	v.waitForText("This link does not work It has expired, was already used, or was replaced by a newer one.")
	v.check(`document.activeElement.id === "no-link-title" && location.hash === ""`)
	v.checkLayout("verify-no-link")
	v.fill("#email", "ada")
	v.click("button", "Send me a link")
	v.waitForText("Enter a valid email address")
	v.fill("#email", " Ada@example.com ")
	v.click("button", "Send me a link")
	v.waitForText("If Ada@example.com has an account and is not verified yet")
	v.check(`document.activeElement.id === "sent-title"`)
	v.checkLayout("verify-sent")

	link = v.emailedLink(2, verifySubject)
	v.goTo(link)
	v.fill("#password", processtest.Password)
	v.press(kb.Enter)
	v.waitForText("Your email is verified")
	checkVerified(t, server, server.Login(t)["accessToken"], true)
	v.goTo(link)
	v.waitForText("This link does not work")
}

// The keyboard is enough to verify an email, and to get from there to a new password, which also
// verifies it. Somebody who did not register does not know the password.
func TestVerifyEmailPageWithTheKeyboard(t *testing.T) {
	b := sharedBrowser(t)
	server := start(t, databasetest.SQLite)
	v := b.open(t, server, desktop)
	v.openEmail(1, verifySubject)
	v.tabTo("iframe")
	v.press(kb.Enter)
	v.waitForText("Enter the password of your Sesame account.")
	v.tabTo("#password")
	v.press(wrongPassword)
	v.tabTo("#reveal")
	v.tabTo("button.main")
	v.press(" ")
	v.waitForText("The password is incorrect.")
	v.tabTo(`a[href="reset-password"]`)
	v.press(kb.Enter)
	v.waitForText("Enter the email of your account")
	v.tabTo("#email")
	v.press("ada@example.com", kb.Enter)
	v.waitForText("Check your email")
	v.goTo(v.emailedLink(1, resetSubject))
	v.waitForText("8 to 128 characters")
	v.tabTo("#password")
	v.press(newPassword, kb.Enter)
	v.waitForText("Your password has been changed")
	checkVerified(t, server, login(t, server, "ada@example.com", newPassword), true)
}

// A thief who knows the password changes the email. The owner restores it, and sets a new password.
func TestUndoEmailChangePage(t *testing.T) {
	b := sharedBrowser(t)
	databasetest.EachLong(t, func(t *testing.T, engine databasetest.Engine) {
		screen := desktop
		if engine == databasetest.Postgres {
			screen = phone
		}
		server := start(t, engine, "SESAME_APP_URL=https://app.example.com/login", "SESAME_THROTTLE=off")
		v := b.open(t, server, screen)
		v.goTo(v.emailedLink(1, verifySubject))
		v.fill("#password", processtest.Password)
		v.press(kb.Enter)
		v.waitForText("Your email is verified")

		changeEmail(t, server, "thief@example.com")
		confirm := v.emailedLink(1, confirmSubject)
		v.goTo(confirm)
		v.waitForText("Enter the password of your Sesame account.")
		v.check(`location.href.endsWith("/confirm-email-change") && document.activeElement.id === "use-title"`)
		v.checkLayout("confirm-use")
		login(t, server, processtest.Email, processtest.Password) // the click alone changed nothing
		v.fill("#password", wrongPassword)
		v.click("button", "Confirm email")
		v.waitForText("The password is incorrect.")
		login(t, server, processtest.Email, processtest.Password)
		v.fill("#password", processtest.Password)
		v.click("button", "Confirm email")
		v.waitForText("Your email has been changed")
		v.check(`document.querySelector("#done a").innerText === "Continue to Sesame"`)
		v.checkLayout("confirm-done")
		thief := login(t, server, "thief@example.com", processtest.Password)
		v.goTo("/")
		v.goTo(confirm)
		v.waitForText("This link does not work")
		v.checkLayout("confirm-no-link")

		undo := v.emailedLink(1, changedSubject)
		v.goTo(undo)
		v.waitForText("The password of the account stops working.")
		v.check(`location.href.endsWith("/undo-email-change") && document.activeElement.id === "use-title"`)
		v.checkLayout("undo-use")
		checkVerified(t, server, thief, true) // the click alone ended no session
		v.tabTo("button.main")
		v.press(kb.Enter)
		v.waitForText("Your email has been restored")
		v.check(`document.activeElement.id === "done-title"`)
		v.checkLayout("undo-done")
		checkStoresNothing(v)
		if status := server.Authenticate(t, thief); status != http.StatusUnauthorized {
			t.Errorf("access token of the thief: %d", status)
		}
		server.CheckLogin(t, processtest.Password, http.StatusUnauthorized)
		v.goTo(undo)
		v.waitForText("This link does not work It has expired or was already used.")
		v.checkLayout("undo-no-link")

		v.goTo(v.emailedLink(1, resetSubject))
		v.fill("#password", newPassword)
		v.press(kb.Enter)
		v.waitForText("Your password has been changed")
		checkVerified(t, server, login(t, server, processtest.Email, newPassword), true)
	})
}

// The pages say at once that a link has expired.
func TestExpiredLinks(t *testing.T) {
	b := sharedBrowser(t)
	server := start(t, databasetest.SQLite)
	v := b.open(t, server, phone)
	v.goTo(v.emailedLink(1, verifySubject))
	v.fill("#password", processtest.Password)
	v.press(kb.Enter)
	v.waitForText("Your email is verified")
	changeEmail(t, server, "ada@example.org")
	confirm := v.emailedLink(1, confirmSubject)
	other := b.open(t, server, desktop)
	other.goTo(confirm)
	other.waitForText("Enter the password of your Sesame account.")
	v.goTo(confirm)
	v.fill("#password", processtest.Password)
	v.press(kb.Enter)
	v.waitForText("Your email has been changed")
	undo := v.emailedLink(1, changedSubject)
	expireLinks(t, server, "previous_emails")
	v.goTo(undo)
	v.waitForText("This link does not work It has expired or was already used.")

	other.fill("#password", processtest.Password) // the link was used while this page was open
	other.press(kb.Enter)
	other.waitForText("This link does not work It has expired, was already used, was canceled, or was replaced")
	other.check(`password.value === "" && document.querySelectorAll("#no-link a").length === 0`)
}

// A link that is opened on the page for another kind of link leads to the right page.
func TestLinkOnAnotherPage(t *testing.T) {
	b := sharedBrowser(t)
	server := start(t, databasetest.SQLite)
	v := b.open(t, server, desktop)
	_, token, _ := strings.Cut(v.emailedLink(1, verifySubject), "#")
	for _, path := range []string{"/reset-password", "/confirm-email-change", "/undo-email-change"} {
		v.goTo("/")
		v.goTo(path + "#" + token)
		v.waitForText("Enter the password of your Sesame account.")
		v.check(`location.href.endsWith("/verify-email")`)
	}
	checkVerified(t, server, server.Login(t)["accessToken"], false)
}

// The newest link counts: a late response about an earlier one does not change the page. A form is
// sent once, however often the button is pressed.
func TestLinkPagesDoOneThingAtATime(t *testing.T) {
	b := sharedBrowser(t)
	server := start(t, databasetest.SQLite)
	v := b.open(t, server, desktop)
	link := v.emailedLink(1, verifySubject)
	paused := chromedp.Events(v.ctx, fetch.RequestPaused)
	command(v, fetch.Enable, fetch.EnableParams{
		Patterns: []*fetch.RequestPattern{{URLPattern: "*/auth/check-email-link", RequestStage: fetch.RequestStageResponse}},
	})
	v.goTo(link)
	v.waitForText("Checking the link …")
	v.run(chromedp.Evaluate[chromedp.Void](`location.hash = "token=another"`))
	responses := make(map[int64]fetch.RequestID) // by status
	for response, err := range paused {
		if err != nil {
			t.Fatal(err)
		}
		if responses[response.ResponseStatusCode] = response.RequestID; len(responses) == 2 {
			break
		}
	}
	for i, status := range []int64{http.StatusUnauthorized, http.StatusOK} {
		command(v, fetch.ContinueRequest, fetch.ContinueRequestParams{RequestID: responses[status]})
		v.waitFor(fmt.Sprintf(
			`performance.getEntriesByName(new URL("auth/check-email-link", location).href).length === %d`, i+1))
		v.waitForText("This link does not work")
	}
	v.run(chromedp.Evaluate[chromedp.Void](`new Promise((done) => setTimeout(done, 100))`, chromedp.EvalAwaitPromise))
	v.check(`use.hidden && !noLink.hidden`)
	command(v, fetch.Disable, cdp.Empty{})

	v.goTo("/")
	v.goTo(link)
	v.fill("#password", processtest.Password)
	v.run(chromedp.Evaluate[chromedp.Void](`globalThis.attempts = 0;
		const original = fetch;
		globalThis.fetch = (...all) => { attempts++; return original(...all); };
		for (let i = 0; i < 3; i++) use.querySelector("form").requestSubmit();`))
	v.check(`attempts === 1`)
	v.waitForText("Your email is verified")
}

// If the server cannot be reached, a page shows its form and keeps the input.
func TestLinkPagesWithoutAResponse(t *testing.T) {
	b := sharedBrowser(t)
	server := start(t, databasetest.SQLite)
	v := b.open(t, server, desktop)
	link := v.emailedLink(1, verifySubject)
	command(v, network.SetBlockedURLs, network.SetBlockedURLsParams{
		URLPatterns: []*network.BlockPattern{{URLPattern: "http://*:*/auth/check-email-link", Block: true}},
	})
	v.goTo(link)
	v.waitForText("Enter the password of your Sesame account.")
	v.fill("#password", processtest.Password)
	if _, err := server.Stop(t, syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	v.click("button", "Verify email")
	v.waitForText("The server could not be reached. Your input is still here. Try again.")
	v.check(`password.value === "` + processtest.Password + `" && password.ariaInvalid === null`)
	server.Start(t)
	v.click("button", "Verify email")
	v.waitForText("Your email is verified")
}

// Without a link, the pages say how to get one. Without JavaScript they say what to do, and show no
// form, which the browser would send by itself.
func TestLinkPagesWithoutALink(t *testing.T) {
	b := sharedBrowser(t)
	server := start(t, databasetest.SQLite)
	v := b.open(t, server, phone)
	for _, path := range linkPages {
		v.goTo(path + "?token=in-the-query") // ignored: proxies log the query
		v.waitFor(`document.querySelector("#no-link").offsetParent && !location.search`)
		v.check(`!document.body.innerText.includes("does not work It has")`)
		v.checkLayout("no-link-" + path[1:])
	}
	v = b.open(t, server, phone)
	command(v, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	for _, path := range linkPages {
		v.goTo(path + "#token=x")
		v.run(chromedp.WaitVisible(chromedp.CSS("noscript h1")), chromedp.WaitNotVisible(chromedp.CSS("form")))
	}
	v.screenshot("link-noscript")
}
