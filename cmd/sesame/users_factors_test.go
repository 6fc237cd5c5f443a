package main

import (
	"bytes"
	"image"
	"image/color"
	"io"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/processtest"
	"github.com/sesame-auth/sesame/internal/totp"
)

// An operator adds an authenticator app with the QR code in the terminal, sees it, and removes it.
// A wrong code adds nothing.
func TestFactorsCommands(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		server := processtest.New(t, engine)
		server.Start(t)
		server.Login(t)
		if output := run(t, server, "users", "factors", processtest.Email); output !=
			"authenticator app    -\nrecovery codes left  0\npasskeys             0\n" {
			t.Errorf("factors before: %s", output)
		}
		if codes, output := addTOTPWith(t, server, func(totp.Secret) string { return "12345" }); codes != "" ||
			!strings.Contains(output, "sesame: confirm TOTP: the code is not accepted") {
			t.Errorf("a wrong code: %q\n%s", codes, output)
		}
		server.CheckLogin(t, processtest.Password, 200)
		codes, output := addTOTPWith(t, server, func(s totp.Secret) string { return s.Code(totp.Step(time.Now())) })
		recovery := strings.Fields(codes)
		if len(recovery) != 10 {
			t.Fatalf("recovery codes: %q\n%s", codes, output)
		}
		status, half := server.Post(t, "/auth/login",
			`{"email":"`+processtest.Email+`","password":"`+processtest.Password+`"}`)
		if status != 401 || half["code"] != "second_factor_required" {
			t.Fatalf("login: %d %v", status, half)
		}
		body := `{"loginToken":"` + half["loginToken"] + `","code":"` + recovery[0] + `"}`
		if status, _ := server.Post(t, "/auth/login/second-factor", body); status != 200 {
			t.Errorf("a recovery code: %d", status)
		}
		shown := run(t, server, "users", "factors", processtest.Email)
		if !strings.Contains(shown, "authenticator app    added 2") || !strings.Contains(shown, "recovery codes left  9\n") {
			t.Errorf("factors: %s", shown)
		}
		if json := run(t, server, "users", "factors", "--json", processtest.Email); !strings.Contains(json,
			`"recoveryCodesLeft":9,"passkeys":[]}`) {
			t.Errorf("factors in JSON: %s", json)
		}
		const removed = "Removed from ada@example.com: authenticator app: yes, passkeys: 0. The user is notified by email.\n"
		if output := run(t, server, "users", "remove-factors", processtest.Email); output != removed {
			t.Errorf("remove: %s", output)
		}
		server.CheckLogin(t, processtest.Password, 200)
		if output := run(t, server, "users", "remove-factors", processtest.Email); output !=
			"ada@example.com has no second factor and no passkey.\n" {
			t.Errorf("remove again: %s", output)
		}
	})
}

// run runs a command that must succeed, and returns its standard output.
func run(t *testing.T, server *processtest.Server, args ...string) string {
	t.Helper()
	command := server.Command(t, args...)
	output, err := command.Output()
	if err != nil {
		t.Fatalf("%v: %v", args, err)
	}
	return string(output)
}

// addTOTPWith runs users add-totp, reads the secret from the QR code, and types a code.
func addTOTPWith(t *testing.T, server *processtest.Server, code func(totp.Secret) string) (codes, output string) {
	t.Helper()
	command := server.Command(t, "users", "add-totp", processtest.Email)
	stdin, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stdout bytes.Buffer
	command.Stdout = &stdout
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	const prompt = "Code of the app: "
	shown := make([]byte, 0, 16<<10)
	for !bytes.HasSuffix(shown, []byte(prompt)) {
		piece := make([]byte, 4096)
		n, err := stderr.Read(piece)
		shown = append(shown, piece[:n]...)
		if err != nil {
			t.Fatalf("no prompt: %v\n%s", err, shown)
		}
	}
	uri, err := url.Parse(scan(t, string(shown)))
	if err != nil {
		t.Fatal(err)
	}
	secret, err := totp.ParseSecret(uri.Query().Get("secret"))
	if err != nil || uri.Path != "/Sesame:"+processtest.Email ||
		!strings.Contains(string(shown), "Secret: "+secret.String()) {
		t.Fatalf("the QR code is of %s, %v:\n%s", uri, err, shown)
	}
	if _, err := io.WriteString(stdin, code(secret)+"\n"); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(stderr)
	if err != nil {
		t.Fatal(err)
	}
	_ = command.Wait() // the caller checks the output
	return stdout.String(), string(shown) + string(rest)
}

// scan returns the text of the QR code that a terminal shows.
func scan(t *testing.T, shown string) string {
	t.Helper()
	var rows [][]rune
	for line := range strings.Lines(shown) {
		if row, ok := strings.CutPrefix(line, "\x1b[38;5;16;48;5;231m"); ok {
			rows = append(rows, []rune(strings.TrimSuffix(row, "\x1b[0m\n")))
		}
	}
	if len(rows) == 0 {
		t.Fatalf("no QR code:\n%s", shown)
	}
	const scale = 8
	picture := image.NewGray(image.Rect(0, 0, len(rows[0])*scale, 2*len(rows)*scale))
	for y := range picture.Rect.Max.Y {
		for x := range picture.Rect.Max.X {
			modules := map[rune][2]bool{'█': {true, true}, '▀': {true, false}, '▄': {false, true}}[rows[y/scale/2][x/scale]]
			if !modules[y/scale%2] {
				picture.SetGray(x, y, color.Gray{Y: 255})
			}
		}
	}
	bitmap, err := gozxing.NewBinaryBitmapFromImage(picture)
	if err != nil {
		t.Fatal(err)
	}
	// A picture of a code alone can be read without a search, which fails now and then.
	hints := map[gozxing.DecodeHintType]any{gozxing.DecodeHintType_PURE_BARCODE: true}
	result, err := qrcode.NewQRCodeReader().Decode(bitmap, hints)
	if err != nil {
		t.Fatalf("the QR code cannot be read: %v", err)
	}
	return result.GetText()
}
