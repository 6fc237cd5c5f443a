package httpapi_test

import (
	"context"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/oapi-codegen/nullable"

	sesame "github.com/sesame-auth/sesame"
	"github.com/sesame-auth/sesame/gen/client"
	"github.com/sesame-auth/sesame/internal/auth"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/server/servertest"
)

// The limits in package auth, which also apply to imported users, match the OpenAPI document.
func TestProfileLimitsMatchDocument(t *testing.T) {
	document, err := openapi3.NewLoader().LoadFromData(sesame.OpenAPI)
	if err != nil {
		t.Fatal(err)
	}
	properties := document.Components.Schemas["RegisterInput"].Value.Properties
	name, bio, email := properties["name"].Value, properties["bio"].Value, properties["email"].Value
	if name.MinLength != 1 || *name.MaxLength != auth.MaxNameLength {
		t.Errorf("the document allows a name of %d to %d characters", name.MinLength, *name.MaxLength)
	}
	if *bio.MaxLength != auth.MaxBioLength || *email.MaxLength != auth.MaxEmailBytes {
		t.Errorf("the document allows a bio of %d characters and an email of %d", *bio.MaxLength, *email.MaxLength)
	}
}

// The generated client can register, log in, refresh, reset the password and log out.
func TestGeneratedClient(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		c, err := client.NewClientWithResponses(s.URL, client.WithHTTPClient(s.Client))
		if err != nil {
			t.Fatal(err)
		}
		ctx := t.Context()
		const (
			bio         = "Wrote the first program"
			password    = "correct horse battery staple"
			newPassword = "an even better horse battery"
		)
		registered, err := c.RegisterWithResponse(ctx, client.RegisterInput{
			Name:     "Ada Lovelace",
			Bio:      nullable.NewNullableWithValue(bio),
			Email:    "Ada@Example.com",
			Password: password,
			Confirm:  password,
		})
		if err != nil || registered.JSON201 == nil {
			t.Fatalf("register: %v %s", err, registered.Body)
		}
		user := registered.JSON201.User
		if user.Email != "ada@example.com" || user.Name != "Ada Lovelace" || user.Bio.MustGet() != bio {
			t.Errorf("registered %+v", user)
		}
		login := func(password string) *client.LoginResponse {
			t.Helper()
			response, err := c.LoginWithResponse(ctx, client.LoginInput{Email: "ADA@example.com", Password: password})
			if err != nil {
				t.Fatal(err)
			}
			return response
		}
		authenticate := func(accessToken string) *client.AuthenticateResponse {
			t.Helper()
			response, err := c.AuthenticateWithResponse(ctx, func(_ context.Context, r *http.Request) error {
				r.Header.Set("Authorization", "Bearer "+accessToken)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			return response
		}
		first := login(password).JSON200
		if first == nil || first.ExpiresIn != 900 || first.TokenType != "Bearer" {
			t.Fatalf("tokens: %+v", first)
		}
		welcome := authenticate(first.AccessToken).JSON200
		if welcome == nil || welcome.User.Email != "ada@example.com" || *welcome.Message != "Welcome, Ada Lovelace" {
			t.Errorf("welcome: %+v", welcome)
		}
		refreshed, err := c.RefreshTokensWithResponse(ctx, client.RefreshTokenInput{RefreshToken: first.RefreshToken})
		if err != nil || refreshed.JSON200 == nil || refreshed.JSON200.RefreshToken == first.RefreshToken {
			t.Fatalf("refresh: %v %s", err, refreshed.Body)
		}
		forgot, err := c.ForgotPasswordWithResponse(ctx, client.ForgotPasswordInput{Email: "ada@EXAMPLE.com"})
		if err != nil || forgot.JSON202 == nil {
			t.Fatalf("forgot password: %v %s", err, forgot.Body)
		}
		params := &client.ResetPasswordParams{Token: s.ResetToken(t, s.NextEmail(t))}
		reset, err := c.ResetPasswordWithResponse(ctx, params, client.ResetPasswordInput{Password: newPassword})
		if err != nil || reset.JSON200 == nil {
			t.Fatalf("reset: %v %s", err, reset.Body)
		}
		s.RequireEnded(t, servertest.Tokens{
			Access:  refreshed.JSON200.AccessToken,
			Refresh: refreshed.JSON200.RefreshToken,
		})
		old := login(password)
		if old.StatusCode() != http.StatusUnauthorized ||
			old.ApplicationproblemJSON401.Code != client.ProblemCodeInvalidCredentials {
			t.Errorf("the old password: %s", old.Body)
		}
		second := login(newPassword).JSON200
		for range 2 {
			logout, err := c.LogoutWithResponse(ctx, client.RefreshTokenInput{RefreshToken: second.RefreshToken})
			if err != nil || logout.JSON200 == nil {
				t.Fatalf("logout: %v %s", err, logout.Body)
			}
		}
		s.RequireEnded(t, servertest.Tokens{Access: second.AccessToken, Refresh: second.RefreshToken})
	})
}

// The generated client can change, export and delete an account.
func TestGeneratedClientAccount(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		email := s.NewUser(t)
		tokens := s.Login(t, email)
		authorize := func(_ context.Context, r *http.Request) error {
			r.Header.Set("Authorization", "Bearer "+tokens.Access)
			return nil
		}
		c, err := client.NewClientWithResponses(s.URL,
			client.WithHTTPClient(s.Client), client.WithRequestEditorFn(authorize))
		if err != nil {
			t.Fatal(err)
		}
		ctx, password := t.Context(), servertest.Password
		const newPassword = "an even better horse battery"

		bio := client.UpdateAccountInput{Bio: nullable.NewNullableWithValue("Wrote it")}
		updated, err := c.UpdateAccountWithResponse(ctx, bio)
		if err != nil || updated.JSON200 == nil || updated.JSON200.Bio.MustGet() != "Wrote it" {
			t.Fatalf("update: %v %s", err, updated.Body)
		}
		removed := client.UpdateAccountInput{Bio: nullable.NewNullNullable[string]()}
		updated, err = c.UpdateAccountWithResponse(ctx, removed)
		if err != nil || updated.JSON200 == nil || !updated.JSON200.Bio.IsNull() {
			t.Fatalf("remove the bio: %v %s", err, updated.Body)
		}
		input := client.ChangePasswordInput{CurrentPassword: &password, Password: newPassword}
		changed, err := c.ChangePasswordWithResponse(ctx, input)
		if err != nil || changed.JSON200 == nil {
			t.Fatalf("change password: %v %s", err, changed.Body)
		}
		tokens.Access = changed.JSON200.AccessToken
		list, err := c.ListSessionsWithResponse(ctx)
		if err != nil || list.JSON200 == nil || len(list.JSON200.Sessions) != 1 || !list.JSON200.Sessions[0].Current {
			t.Fatalf("sessions: %v %s", err, list.Body)
		}
		wrong, err := c.DeleteAccountWithResponse(ctx, client.DeleteAccountInput{Password: &password})
		if err != nil || wrong.ApplicationproblemJSON403 == nil ||
			wrong.ApplicationproblemJSON403.Code != client.ProblemCodeIncorrectPassword {
			t.Fatalf("the old password: %v %s", err, wrong.Body)
		}
		export, err := c.ExportAccountWithResponse(ctx)
		if err != nil || export.JSON200 == nil || export.JSON200.Account.Email != email {
			t.Fatalf("export: %v %s", err, export.Body)
		}
		deleted, err := c.DeleteAccountWithResponse(ctx, client.DeleteAccountInput{Password: new(newPassword)})
		if err != nil || deleted.JSON200 == nil {
			t.Fatalf("delete: %v %s", err, deleted.Body)
		}
		account, err := c.GetAccountWithResponse(ctx)
		if err != nil || account.StatusCode() != http.StatusUnauthorized {
			t.Errorf("the deleted account: %v %s", err, account.Body)
		}
	})
}

// Every problem code of the OpenAPI document has a page, with the statuses of its responses.
func TestEveryProblemHasAPage(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		codes := servertest.Document().ProblemCodes()
		if len(codes) < 10 {
			t.Fatalf("codes: %v", codes)
		}
		index := s.Do(t, http.MethodGet, "/problems", "")
		for _, code := range codes {
			if !strings.Contains(index.Raw, `href="problems/`+code+`"`) {
				t.Errorf("the index has no %s", code)
			}
			page := s.Do(t, http.MethodGet, "/problems/"+code, "")
			status := regexp.MustCompile(`status [45]\d\d( or [45]\d\d)*</p>`)
			if page.Status != http.StatusOK || !strings.Contains(page.Raw, code) ||
				strings.Contains(page.Raw, "<p></p>") || !status.MatchString(page.Raw) {
				t.Errorf("%s: %d %s", code, page.Status, page.Raw)
			}
		}
		if links := strings.Count(index.Raw, `href="problems/`); links != len(codes) {
			t.Errorf("the index links to %d pages, the document has %d codes", links, len(codes))
		}
	})
}

// The OpenAPI document is served in both formats, and not sent again to a client that has it.
func TestDocumentIsServed(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		for path, want := range map[string]struct {
			media   string
			content []byte
		}{
			"/openapi.yaml": {"application/yaml", sesame.OpenAPI},
			"/openapi.json": {"application/json", sesame.OpenAPIJSON},
		} {
			first := s.Do(t, http.MethodGet, path, "")
			if first.Status != http.StatusOK || first.Raw != string(want.content) ||
				first.Header.Get("Content-Type") != want.media {
				t.Errorf("%s: %d, %d bytes, %v", path, first.Status, len(first.Raw), first.Header)
			}
			tag := first.Header.Get("ETag")
			again := s.Do(t, http.MethodGet, path, "", "If-None-Match", tag)
			if again.Status != http.StatusNotModified || again.Raw != "" || again.Header.Get("ETag") != tag {
				t.Errorf("%s with %s: %d %s", path, tag, again.Status, again.Raw)
			}
			changed := s.Do(t, http.MethodGet, path, "", "If-None-Match", `"another"`)
			if changed.Status != http.StatusOK || changed.Raw != first.Raw {
				t.Errorf("%s with another tag: %d", path, changed.Status)
			}
		}
	})
}
