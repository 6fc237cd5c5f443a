package clienttest

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sesame-auth/sesame/client"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/server/servertest"
	"github.com/sesame-auth/sesame/internal/totp"
	"github.com/sesame-auth/sesame/verify"
)

// codes returns a function that returns the next code of the secret of an authenticator app.
func codes(t *testing.T, server *servertest.Server, text string) func() string {
	t.Helper()
	secret, err := totp.ParseSecret(text)
	if err != nil {
		t.Fatal(err)
	}
	server.Clock.Stop()
	return func() string {
		server.Clock.Advance(30 * time.Second)
		return secret.Code(totp.Step(server.Clock.Now()))
	}
}

// acr returns the claim acr of the session of a client.
func (s *session) acr(t *testing.T) string {
	t.Helper()
	access := s.tokens(t).AccessToken
	verifier, err := verify.New(servertest.PublicURL, servertest.PublicURL,
		verify.WithTransport(toServer(s.server.URL)), verify.WithClock(s.server.Clock.Now))
	if err != nil {
		t.Fatal(err)
	}
	claims, err := verifier.Verify(t.Context(), access)
	if err != nil {
		t.Fatal(err)
	}
	return claims.ACR
}

// toServer sends requests to the public URL to the URL of a test's server.
type toServer string

func (u toServer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.URL.Scheme, r.URL.Host = "http", strings.TrimPrefix(string(u), "http://")
	return http.DefaultTransport.RoundTrip(r)
}

// A user adds an authenticator app, logs in with it, renews the recovery codes and removes it.
func TestSecondFactor(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s, ctx := login(t, engine), t.Context()
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		if factors, err := s.Factors(ctx); err != nil || len(factors.Factors) != 0 || factors.RecoveryCodesLeft != 0 {
			t.Errorf("before: %+v, %v", factors, err)
		}
		_, err := s.RenewRecoveryCodes(ctx)
		isProblem(t, err, http.StatusNotFound, "not_found")
		secret, err := s.EnrollTOTP(ctx)
		if err != nil || !strings.HasPrefix(secret.URI, "otpauth://totp/") {
			t.Fatalf("EnrollTOTP: %+v, %v", secret, err)
		}
		code := codes(t, s.server, secret.Secret)
		_, err = s.ConfirmTOTP(ctx, "000")
		isProblem(t, err, http.StatusForbidden, "invalid_code")
		recovery, err := s.ConfirmTOTP(ctx, code())
		if err != nil || len(recovery) != 10 || s.acr(t) != "aal2" {
			t.Fatalf("ConfirmTOTP: %d recovery codes, %v, acr %s", len(recovery), err, s.acr(t))
		}
		_, err = s.EnrollTOTP(ctx)
		isProblem(t, err, http.StatusConflict, "factor_exists")

		must(s.Logout(ctx))
		problem := isProblem(t, s.Login(ctx, s.email, servertest.Password), http.StatusUnauthorized, "second_factor_required")
		want := []client.FactorType{client.FactorTypeTotp, client.FactorTypeRecoveryCode}
		if problem.LoginToken == "" || !slices.Equal(problem.Factors, want) || s.tokens(t) != (client.Tokens{}) {
			t.Errorf("%+v", problem)
		}
		isProblem(t, s.CompleteLogin(ctx, "unknown", code()), http.StatusUnauthorized, "invalid_login_token")
		isProblem(t, s.CompleteLogin(ctx, problem.LoginToken, "000"), http.StatusUnauthorized, "invalid_code")
		must(s.CompleteLogin(ctx, problem.LoginToken, code()))
		if s.acr(t) != "aal2" {
			t.Errorf("acr %s", s.acr(t))
		}

		renewed, err := s.RenewRecoveryCodes(ctx)
		if err != nil || len(renewed) != 10 || renewed[0] == recovery[0] {
			t.Fatalf("RenewRecoveryCodes: %d, %v", len(renewed), err)
		}
		isProblem(t, s.Reauthenticate(ctx, servertest.Password, recovery[0]), http.StatusForbidden, "invalid_code")
		isProblem(t, s.Reauthenticate(ctx, "wrong", renewed[0]), http.StatusForbidden, "incorrect_password")
		isProblem(t, s.Reauthenticate(ctx, servertest.Password, ""), http.StatusBadRequest, "validation_failed")
		must(s.Reauthenticate(ctx, servertest.Password, renewed[0]))
		factors, err := s.Factors(ctx)
		if err != nil || len(factors.Factors) != 1 || factors.Factors[0].Type != client.FactorTypeTotp ||
			factors.Factors[0].LastUsedAt.IsZero() || factors.RecoveryCodesLeft != 9 {
			t.Errorf("Factors: %+v, %v", factors, err)
		}
		export, err := s.ExportAccount(ctx)
		if err != nil || !slices.Equal(export.Factors, factors.Factors) || export.RecoveryCodesLeft != 9 ||
			!slices.Contains(export.Sessions[0].AMR, "mfa") || export.Sessions[0].AuthTime.IsZero() {
			t.Errorf("ExportAccount: %+v, %v", export, err)
		}
		must(s.RemoveTOTP(ctx))
		isProblem(t, s.RemoveTOTP(ctx), http.StatusNotFound, "not_found")
		must(s.Login(ctx, s.email, servertest.Password))
	})
}

// A user adds, renames and removes a passkey, and logs in with it. The forms are those of a
// browser.
func TestPasskeys(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s, ctx, device := login(t, engine), t.Context(), servertest.NewDevice()
		options, err := s.StartPasskeyRegistration(ctx)
		if err != nil {
			t.Fatal(err)
		}
		var created client.PasskeyRegistration
		convert(t, device.Create(t, toJSON(t, options)), &created)
		added, err := s.FinishPasskeyRegistration(ctx, "Phone", created)
		if err != nil || added.Name != "Phone" || added.ID == "" || added.LastUsedAt != nil {
			t.Fatalf("FinishPasskeyRegistration: %+v, %v", added, err)
		}
		_, err = s.FinishPasskeyRegistration(ctx, "", created)
		isProblem(t, err, http.StatusForbidden, "invalid_passkey")

		request, err := s.StartPasskeyLogin(ctx)
		if err != nil {
			t.Fatal(err)
		}
		var signed client.PasskeyAssertion
		convert(t, device.Sign(t, toJSON(t, request)), &signed)
		before := s.tokens(t)
		if err := s.FinishPasskeyLogin(ctx, signed); err != nil || s.acr(t) != "aal2" || s.tokens(t) == before {
			t.Fatalf("FinishPasskeyLogin: %v, acr %s", err, s.acr(t))
		}
		isProblem(t, s.FinishPasskeyLogin(ctx, signed), http.StatusUnauthorized, "invalid_passkey")

		renamed, err := s.RenamePasskey(ctx, added.ID, "Laptop")
		passkeys, err2 := s.Passkeys(ctx)
		if err != nil || err2 != nil || renamed.Name != "Laptop" || len(passkeys) != 1 || passkeys[0].Name != "Laptop" ||
			passkeys[0].LastUsedAt == nil {
			t.Errorf("RenamePasskey: %+v, %v; Passkeys: %+v, %v", renamed, err, passkeys, err2)
		}
		export, err := s.ExportAccount(ctx)
		if err != nil || len(export.Passkeys) != 1 || export.Passkeys[0].ID != added.ID || !export.Passkeys[0].BackedUp ||
			export.Passkeys[0].CredentialID == "" || export.Passkeys[0].Model == "" {
			t.Errorf("ExportAccount: %+v, %v", export.Passkeys, err)
		}
		_, err = s.RenamePasskey(ctx, "unknown", "Laptop")
		isProblem(t, err, http.StatusNotFound, "not_found")
		if err := s.DeletePasskey(ctx, added.ID); err != nil {
			t.Fatal(err)
		}
		isProblem(t, s.DeletePasskey(ctx, added.ID), http.StatusNotFound, "not_found")
	})
}

func toJSON(t *testing.T, value any) string {
	t.Helper()
	content, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func convert(t *testing.T, content []byte, value any) {
	t.Helper()
	if err := json.Unmarshal(content, value); err != nil {
		t.Fatal(err)
	}
}
