package web_test

import (
	"bytes"
	"fmt"
	"image"
	"image/draw"
	"image/png"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"

	"github.com/sesame-auth/sesame/internal/database"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/processtest"
	"github.com/sesame-auth/sesame/internal/totp"
)

// A developer tries the page /try.
type developer struct {
	*tab
	url    string
	secret totp.Secret // of the authenticator app
	step   int64       // of the last code
}

// openTry opens the page at localhost, in a tab with a virtual authenticator for passkeys.
func openTry(t *testing.T, b *browser, server *processtest.Server, screen viewport) *developer {
	t.Helper()
	_, port, err := net.SplitHostPort(server.API)
	if err != nil {
		t.Fatal(err)
	}
	d := &developer{tab: b.open(t, server, screen), url: "http://localhost:" + port + "/try"}
	d.mu.Lock()
	d.app = "localhost:" + port
	d.mu.Unlock()
	command(d.tab, webauthn.Enable, webauthn.EnableParams{})
	command(d.tab, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{
		Options: &webauthn.VirtualAuthenticatorOptions{
			Protocol: webauthn.AuthenticatorProtocolCtap2, Transport: webauthn.AuthenticatorTransportInternal,
			HasResidentKey: true, HasUserVerification: true, IsUserVerified: true, AutomaticPresenceSimulation: true,
		},
	})
	d.reload()
	d.waitForText("Register")
	return d
}

func (d *developer) reload() {
	d.t.Helper()
	d.run(chromedp.Navigate(d.url))
}

// setAutofill says whether the browser offers passkeys in the autofill. If so, the user of the
// virtual authenticator chooses one as soon as it is offered.
func (d *developer) setAutofill(isOn bool) {
	d.t.Helper()
	const set = "PublicKeyCredential.isConditionalMediationAvailable = () => Promise.resolve(%t); 0"
	d.run(chromedp.Evaluate[chromedp.Void](fmt.Sprintf(set, isOn)))
}

// checkThemes checks the layout in both color schemes.
func (d *developer) checkThemes(name string) {
	d.t.Helper()
	for _, scheme := range []string{"light", "dark"} {
		command(d.tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		d.checkLayout("try-" + name + "-" + scheme)
	}
}

// checkFocus fails the test if another element than that with this id has the focus.
func (d *developer) checkFocus(id string) {
	d.t.Helper()
	if focused := value[string](d.tab, "document.activeElement.id"); focused != id {
		d.t.Errorf("%q has the focus, want %q", focused, id)
	}
}

// waitForError waits until the error of a form is shown, and its field has the focus.
func (d *developer) waitForError(form, text, field string) {
	d.t.Helper()
	d.waitFor(fmt.Sprintf("document.getElementById(%q).innerText.includes(%q)", form+"-error", text))
	d.waitFor(fmt.Sprintf("document.activeElement.id === %q", field))
}

// code returns a code of the app that was not used yet. The server accepts those of this and of the
// next step, so there are two at a time.
func (d *developer) code() string {
	d.step = max(d.step+1, totp.Step(time.Now()))
	return d.secret.Code(d.step)
}

// scan returns the text of the QR code on the page.
func (d *developer) scan() string {
	d.t.Helper()
	const scale = 4
	picture, err := chromedp.Run(d.ctx, chromedp.ScreenshotScale("#qr svg", scale))
	if err != nil {
		d.t.Fatal(err)
	}
	decoded, err := png.Decode(bytes.NewReader(picture))
	if err != nil {
		d.t.Fatal(err)
	}
	code := image.NewGray(decoded.Bounds().Inset(2 * scale)) // without the border line
	draw.Draw(code, code.Rect, decoded, code.Rect.Min, draw.Src)
	bitmap, err := gozxing.NewBinaryBitmapFromImage(code)
	if err != nil {
		d.t.Fatal(err)
	}
	// A picture of a code alone can be read without a search, which fails now and then.
	hints := map[gozxing.DecodeHintType]any{gozxing.DecodeHintType_PURE_BARCODE: true}
	result, err := qrcode.NewQRCodeReader().Decode(bitmap, hints)
	if err != nil {
		d.t.Fatalf("the QR code cannot be read: %v", err)
	}
	return result.GetText()
}

func (d *developer) register() {
	d.t.Helper()
	d.fill("#register-name", "Ada")
	d.fill("#register-email", processtest.Email)
	d.fill("#register-password", "password")
	d.click("#register button", "Register")
	d.waitForError("register", "This password is too common.", "register-password")
	d.fill("#register-password", processtest.Password)
	d.click("#register button", "Register")
	d.waitForText("You are registered, and we sent you a link to verify your email. Now log in.")
	d.checkFocus("log-in-password")
}

// enterPassword fills in the form to log in, and sends it.
func (d *developer) enterPassword(password string) {
	d.t.Helper()
	d.fill("#log-in-email", processtest.Email)
	d.fill("#log-in-password", password)
	d.press(kb.Enter)
}

// waitForLogin waits until the page shows that the user is logged in, with these claims.
func (d *developer) waitForLogin(amr, acr string) {
	d.t.Helper()
	d.waitForText("You are logged in")
	d.waitForText("amr " + amr + " acr " + acr + " auth_time")
	d.waitFor(`document.activeElement.id === "account-title"`)
}

func (d *developer) logOut() {
	d.t.Helper()
	d.click("#log-out button", "Log out")
	d.waitForText("You are logged out.")
	d.checkFocus("log-in-title")
}

// verifyEmail verifies the email with the link that was sent to it.
func (d *developer) verifyEmail(mailbox *tab) {
	d.t.Helper()
	_, token, _ := strings.Cut(mailbox.emailedLink(1, verifySubject), "#token=")
	body := fmt.Sprintf(`{"token":%q,"password":%q}`, token, processtest.Password)
	if status, _ := d.server.Post(d.t, "/auth/verify-email", body); status != http.StatusOK {
		d.t.Fatalf("verify the email: %d", status)
	}
}

// addApp adds the authenticator app and returns the recovery codes.
func (d *developer) addApp() []string {
	d.t.Helper()
	d.click("#enroll button", "Add an app")
	d.waitForText("Scan this code")
	d.checkFocus("confirm-code")
	d.check(`document.querySelector("#qr svg").getAttribute("aria-label") === "QR code with the secret"`)
	var err error
	if d.secret, err = totp.ParseSecret(value[string](d.tab, "secret.innerText")); err != nil {
		d.t.Fatal(err)
	}
	d.check(`document.getElementById("secret-link").href.includes("secret=" + secret.innerText)`)
	if uri, link := d.scan(), value[string](d.tab, `document.getElementById("secret-link").href`); uri != link {
		d.t.Errorf("the QR code is of %s, want %s", uri, link)
	}
	d.fill("#confirm-code", d.code())
	d.press(kb.Enter)
	return d.readCodes()
}

// readCodes returns the recovery codes that the page shows, and closes them.
func (d *developer) readCodes() []string {
	d.t.Helper()
	d.waitForText("Your recovery codes")
	d.checkFocus("codes-title")
	codes := strings.Fields(value[string](d.tab, `document.getElementById("recovery-codes").innerText`))
	if len(codes) != 10 {
		d.t.Fatalf("%d recovery codes: %q", len(codes), codes)
	}
	d.click("button", "I have kept the codes")
	d.waitForText("Unused recovery codes: 10.")
	d.check(`document.getElementById("recovery-codes").textContent === ""`)
	d.checkFocus("app-title")
	return codes
}

// startTry starts a server where Ada has an account with a verified email, and logs her in at the
// page.
func startTry(t *testing.T, b *browser, screen viewport) *developer {
	t.Helper()
	server := start(t, databasetest.SQLite)
	d := openTry(t, b, server, screen)
	d.verifyEmail(b.open(t, server, screen))
	d.enterPassword(processtest.Password)
	d.waitForLogin("pwd", "aal1")
	return d
}

// A developer registers, adds an authenticator app, and logs in with its codes and with recovery
// codes.
func TestTryWithAnApp(t *testing.T) {
	b := sharedBrowser(t)
	for _, screen := range screens(desktop, phone) {
		server := processtest.New(t, databasetest.SQLite)
		server.Start(t)
		d := openTry(t, b, server, screen)
		d.checkThemes("logged-out")
		d.register()
		d.enterPassword(wrongPassword)
		d.waitForError("log-in", "The email or password is incorrect.", "log-in-email")
		d.checkThemes("rejected")
		d.enterPassword(processtest.Password)
		d.waitForLogin("pwd", "aal1")
		d.checkThemes("not-verified")
		d.click("#enroll button", "Add an app")
		d.waitFor(`document.getElementById("enroll-error").innerText.includes("Verify your email first")`)
		d.verifyEmail(b.open(t, server, screen))
		d.reload()
		d.waitForText("Verified yes")
		d.check(`document.getElementById("verify").hidden`)

		d.click("#enroll button", "Add an app")
		d.fill("#confirm-code", "12345")
		d.press(kb.Enter)
		d.waitForError("confirm", "", "confirm-code")
		d.checkThemes("enroll")
		d.click("button", "Cancel")
		codes := d.addApp()
		d.waitForText("amr pwd, otp, mfa acr aal2")
		d.checkThemes("app")

		d.logOut()
		d.enterPassword(processtest.Password)
		d.waitForText("The account has a second factor.")
		d.checkFocus("login-code")
		d.fill("#login-code", "000000")
		d.press(kb.Enter)
		d.waitForError("complete-login", "The code is incorrect", "login-code")
		d.checkThemes("second-factor")
		d.fill("#login-code", d.code())
		d.press(kb.Enter)
		d.waitForLogin("pwd, otp, mfa", "aal2")
		d.logOut()
		d.enterPassword(processtest.Password)
		d.fill("#login-code", codes[0])
		d.press(kb.Enter)
		d.waitForLogin("pwd, mfa", "aal2")
		d.waitForText("Unused recovery codes: 9.")

		d.click("#renew button", "Renew recovery codes")
		d.waitForText("Your recovery codes")
		d.checkThemes("recovery-codes")
		if renewed := d.readCodes(); renewed[0] == codes[0] {
			t.Errorf("the renewed codes are the old ones: %q", renewed)
		}
		d.click("#remove-app button", "Remove the app")
		d.waitForText("The app is removed.")
		d.checkFocus("app-title")
		d.logOut()
		d.enterPassword(processtest.Password)
		d.waitForLogin("pwd", "aal1")
	}
}

// A developer adds a passkey and logs in with it, with the button and with the autofill.
func TestTryWithAPasskey(t *testing.T) {
	b := sharedBrowser(t)
	for _, screen := range screens(desktop, phone) {
		d := startTry(t, b, screen)
		d.fill("#passkey-name", "Laptop")
		d.press(kb.Enter)
		d.waitForText("The passkey “Laptop” is added.")
		d.checkFocus("passkeys-title")
		d.click("#add-passkey button", "Add a passkey")
		d.waitForError("add-passkey", "This device has a passkey of the account already.", "passkey-name")

		d.setAutofill(false)
		d.logOut()
		d.click("button", "Log in with a passkey")
		d.waitForLogin("pop, user, mfa", "aal2")
		d.setAutofill(true)
		const loggedInAt = `JSON.parse(sessionStorage.getItem("sesame"))?.loggedInAt`
		before := value[int64](d.tab, loggedInAt)
		d.click("#log-out button", "Log out")
		d.waitFor(fmt.Sprintf("%s > %d", loggedInAt, before))
		d.waitForLogin("pop, user, mfa", "aal2")

		d.click(".rename", "Rename")
		d.check(`document.activeElement.value === "Laptop"`)
		d.checkThemes("rename")
		d.fill("#passkeys input", " ")
		d.press(kb.Enter)
		d.waitForText("Name: ")
		d.check(`document.activeElement.matches("#passkeys input")`)
		d.fill("#passkeys input", "Work laptop")
		d.press(kb.Enter)
		d.waitForText("The passkey is renamed.")
		d.waitForText("Work laptop")
		d.checkFocus("passkeys-title")
		d.click(".remove", "Remove")
		d.waitForText("The passkey is removed.")
		d.check(`document.querySelector("#passkeys li") === null`)
		d.setAutofill(false)
		d.logOut()
		d.click("button", "Log in with a passkey")
		d.waitForText("The passkey was not accepted. Try again.")
	}
}

// Passkeys do not work at an IP address. The page says so, and links to itself at localhost.
func TestTryAtAnIPAddress(t *testing.T) {
	b := sharedBrowser(t)
	for _, screen := range screens(desktop, phone) {
		server := start(t, databasetest.SQLite)
		v := b.open(t, server, screen)
		v.goTo("/")
		v.click("a", "Try it")
		v.waitForText("Passkeys do not work at this address")
		v.check(`document.getElementById("passkey-log-in").hidden`)
		v.checkLayout("try-ip")
		_, port, _ := net.SplitHostPort(server.API)
		v.check(fmt.Sprintf(`document.getElementById("localhost").href === "http://localhost:%s/try"`, port))
	}
}

// The page does not exist on a server for others.
func TestTryInProduction(t *testing.T) {
	server := processtest.New(t, databasetest.SQLite,
		"SESAME_PUBLIC_URL=https://auth.example.com", "SESAME_TRUSTED_PROXIES=none")
	server.Start(t)
	for path, want := range map[string]int{"/": http.StatusOK, "/try": http.StatusNotFound} {
		status, body := processtest.Get(t, "http://"+server.API+path)
		if status != want || strings.Contains(body, "try.") || strings.Contains(body, `href="try"`) {
			t.Errorf("%s: %d\n%s", path, status, body)
		}
	}
}

// makeLoginOld makes the login of every session an hour old, and the next request of the page
// refresh its tokens.
func (d *developer) makeLoginOld() {
	d.t.Helper()
	db, err := database.Open(d.t.Context(), d.server.DatabaseURL)
	if err != nil {
		d.t.Fatal(err)
	}
	changed := db.WithContext(d.t.Context()).Table("sessions").Where("1 = 1").
		Update("auth_time", time.Now().UTC().Add(-time.Hour))
	if err := db.Close(); err != nil || changed.Error != nil || changed.RowsAffected == 0 {
		d.t.Fatalf("%v, %v, %d rows", err, changed.Error, changed.RowsAffected)
	}
	d.run(chromedp.Evaluate[chromedp.Void](`(() => {
		const tokens = JSON.parse(sessionStorage.getItem("sesame"));
		sessionStorage.setItem("sesame", JSON.stringify({ ...tokens, refreshAt: 0 }));
	})()`))
}

// If an operation needs a more recent login, a dialog asks for the password and a code, or for a
// passkey. Then the operation succeeds.
func TestTryConfirmsTheIdentity(t *testing.T) {
	b := sharedBrowser(t)
	for _, screen := range screens(desktop, phone) {
		d := startTry(t, b, screen)
		d.makeLoginOld()
		d.click("#enroll button", "Add an app")
		d.waitForText("This needs a login within the last 10 minutes.")
		d.checkFocus("step-up-password")
		d.check(`document.getElementById("step-up-code").offsetParent === null`)
		d.click("#step-up-cancel", "Cancel")
		d.waitForText("Canceled: you did not confirm your identity.")
		d.click("#enroll button", "Add an app")
		d.fill("#step-up-password", wrongPassword)
		d.press(kb.Enter)
		d.waitForError("reauthenticate", "The password is incorrect.", "step-up-password")
		d.fill("#step-up-password", processtest.Password)
		d.press(kb.Enter)
		d.waitForText("Scan this code")
		d.click("#cancel-enroll", "Cancel")
		d.addApp()

		d.click("#add-passkey button", "Add a passkey")
		d.waitForText("is added.")
		d.makeLoginOld()
		d.click("#renew button", "Renew recovery codes")
		d.waitForText("This needs a login within the last 10 minutes, with the acr aal2.")
		d.click("#step-up-passkey", "Use a passkey")
		codes := d.readCodes()
		d.waitForText("amr pop, user, mfa acr aal2")

		d.makeLoginOld()
		d.click("#remove-app button", "Remove the app")
		d.fill("#step-up-password", processtest.Password)
		d.fill("#step-up-code", "000000")
		d.press(kb.Enter)
		d.waitForError("reauthenticate", "The code is incorrect", "step-up-code")
		d.checkThemes("step-up")
		d.fill("#step-up-code", codes[0])
		d.press(kb.Enter)
		d.waitForText("The app is removed.")
		d.checkFocus("app-title")
		d.check(`document.getElementById("step-up-password").value === ""`)
	}
}

// A developer sees the sessions of the account, and revokes them.
func TestTrySessions(t *testing.T) {
	b := sharedBrowser(t)
	d := startTry(t, b, desktop)
	d.waitFor(`document.querySelectorAll("#sessions li").length === 2`) // that of start, and this one
	d.click("[aria-label^='Revoke the session of']", "Revoke")
	d.waitForText("The session is revoked.")
	d.checkFocus("sessions-title")
	d.check(`document.querySelectorAll("#sessions li").length === 1`)
	d.click("[aria-label='Revoke this session']", "Revoke")
	d.waitForText("You are logged out.")
	d.checkFocus("log-in-title")
	d.check(`sessionStorage.length === 0`)
}
