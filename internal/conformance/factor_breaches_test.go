package conformance_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
)

// The calls for second factors and passkeys.
const (
	completeLogin  = "POST /auth/login/second-factor"
	reauthenticate = "POST /auth/reauthenticate"
	listFactors    = "GET /auth/factors"
	enroll         = "POST /auth/factors/totp"
	remove         = "DELETE /auth/factors/totp"
	confirm        = "POST /auth/factors/totp/confirm"
	renewCodes     = "POST /auth/recovery-codes"
	startPasskey   = "POST /auth/passkey-options"
	finishPasskey  = "POST /auth/passkeys"
	listPasskeys   = "GET /auth/passkeys"
	passkeyOptions = "POST /auth/login/passkey/options"
	passkeyLogin   = "POST /auth/login/passkey"
)

// factorBreaches are responses for second factors that contradict the request or earlier responses.
func factorBreaches() map[string]breach {
	return map[string]breach{
		"login without the second factor": {
			succeed(logIn, "second_factor_required"),
			"completeLogin: success", "status must be 401",
		},
		"no login token": {
			on(logIn, func(e *exchange) { e.body = strings.Replace(e.body, member(e.body, "loginToken"), "", 1) }),
			"completeLogin: success", "there must be a login token",
		},
		"recovery codes not offered": {
			swap(logIn, `["totp","recovery_code"]`, `["totp"]`),
			"completeLogin: success", "the factors must be",
		},
		"login token as an access token": {
			acceptLoginToken(),
			"completeLogin: success", "status must be 401",
		},
		"login token works twice": {succeed(completeLogin, "invalid_login_token"), "completeLogin", "status must be 401"},
		"wrong code accepted": {
			succeed(completeLogin, "invalid_code"),
			"completeLogin: success", "status must be 401",
		},
		"code works twice": {lastCode(completeLogin), "completeLogin: success", "status must be 401"},
		"recovery code works twice": {
			succeed(reauthenticate, "invalid_code"),
			"reauthenticate: with", "status must be 403",
		},
		"old recovery code accepted": {
			afterCall(renewCodes, succeed(completeLogin, "invalid_code")),
			"renewRecoveryCodes", "status must be 401",
		},
		"recovery codes not replaced": {keepCodes(), "renewRecoveryCodes", "the recovery codes must be new"},
		"same recovery code twice": {
			on(confirm, func(e *exchange) {
				if codes := recoveryCodes(e); len(codes) > 1 {
					e.body = strings.Replace(e.body, codes[1], codes[0], 1)
				}
			}),
			"confirmTOTP: success", "ten different recovery codes",
		},
		"wrong code adds the app": {
			on(confirm, func(e *exchange) {
				if member(e.body, "code") == "invalid_code" {
					e.header.Set("Content-Type", "application/json")
					e.status, e.body = http.StatusOK, `{"recoveryCodes":[]}`
				}
			}),
			"confirmTOTP: wrong code", "status must be 403",
		},
		"second app": {
			on(enroll, func(e *exchange) {
				if e.status == http.StatusConflict {
					e.header.Set("Content-Type", "application/json")
					e.status, e.body = http.StatusOK, `{"secret":"A","uri":"otpauth://totp/x"}`
				}
			}),
			"confirmTOTP: success", "status must be 409",
		},
		"same secret again": {again(enroll), "enrollTOTP: success", "each secret must be a new one"},
		"short secret": {
			on(enroll, func(e *exchange) {
				if secret := member(e.body, "secret"); len(secret) > 8 {
					e.body = strings.ReplaceAll(e.body, secret, secret[:8])
				}
			}),
			"enrollTOTP: success", "at least 128 bits",
		},
		"URI without the secret": {swap(enroll, "secret=", "key="), "enrollTOTP: success", "the URI must"},
		"app not listed": {
			success(listFactors, `{"factors":[],"recoveryCodesLeft":0}`),
			"confirmTOTP: success", "second factors must be",
		},
		"recovery codes not counted": {
			swap(listFactors, `"recoveryCodesLeft":9`, `"recoveryCodesLeft":10`),
			"renewRecoveryCodes: success", "recoveryCodesLeft must be 9",
		},
		"app not removed": {
			func(e *exchange) {
				if e.call == remove && e.status == http.StatusNotFound {
					e.header.Set("Content-Type", "application/json")
					e.status, e.body = http.StatusOK, `{"message":"M"}`
				}
			},
			"removeTOTP: success", "status must be 404",
		},
		"no acr":       {afterCall(enroll, claims(logIn, "acr")), "enrollTOTP: success", "claims acr"},
		"no amr":       {claims(completeLogin, "amr"), "completeLogin: success", "claims acr"},
		"no auth_time": {claims(reauthenticate, "auth_time"), "reauthenticate: success", "claims acr"},
		"acr after a refresh": {
			afterCall(confirm, claims(refresh, "acr")),
			"confirmTOTP: success", "claims acr",
		},
		"reauthenticate without the code": {
			on(reauthenticate, func(e *exchange) {
				if strings.Contains(e.body, `"/code"`) {
					e.header.Set("Content-Type", "application/json")
					e.status, e.body = http.StatusOK, successes[logIn].body
				}
			}),
			"reauthenticate: with a second factor", "status must be 400",
		},
		"reauthenticate with a wrong password": {
			succeed(reauthenticate, "incorrect_password"),
			"reauthenticate: wrong password", "status must be 403",
		},
		"password is enough to remove the app": {
			on(remove, func(e *exchange) {
				if e.status == http.StatusUnauthorized {
					e.status, e.body = http.StatusOK, `{"message":"M"}`
					e.header.Set("Content-Type", "application/json")
				}
			}),
			"", "status must be 401",
		},
		"password is enough to change the email": {
			stepUp(changeEmail),
			"reauthenticate: after only the password", "status must be 401",
		},
		"challenge without max_age": {
			on(enroll, func(e *exchange) { dropFromChallenge(e, `, max_age="600"`) }),
			"reauthenticate: after only the password", "the challenge must contain max_age",
		},
		"challenge without acr_values": {
			on(enroll, func(e *exchange) { dropFromChallenge(e, `, acr_values="aal2"`) }),
			"reauthenticate: after only the password", "the challenge must contain acr_values",
		},
	}
}

// passkeyBreaches are responses for passkeys that contradict the request or earlier responses.
func passkeyBreaches() map[string]breach {
	return map[string]breach{
		"user verification not required": {
			swap(startPasskey, `"userVerification":"required"`, `"userVerification":"preferred"`),
			"startPasskeyRegistration: success", "userVerification must be required",
		},
		"passkey not discoverable": {
			swap(startPasskey, `"residentKey":"required"`, `"residentKey":"discouraged"`),
			"startPasskeyRegistration: success", "residentKey must be required",
		},
		"options for somebody else": {
			swap(startPasskey, `"name":"conformance-`, `"name":"somebody-`),
			"startPasskeyRegistration: success", "user.name must be",
		},
		"same challenge for two passkeys": {again(startPasskey), "startPasskeyRegistration: success", "must be a new one"},
		"passkey not excluded": {
			on(startPasskey, func(e *exchange) {
				if before, excluded, ok := strings.Cut(e.body, `"excludeCredentials":[`); ok {
					_, after, _ := strings.Cut(excluded, `}]`)
					if !strings.HasPrefix(excluded, "]") {
						e.body = before + `"excludeCredentials":[]` + after
					}
				}
			}),
			"finishPasskeyRegistration: success", "excludeCredentials must",
		},
		"origin of the deployment refused": {
			func(e *exchange) {
				if e.call == finishPasskey && e.status == http.StatusOK {
					problem(e, http.StatusForbidden, "invalid_passkey", "")
				}
			},
			"finishPasskeyRegistration: success", "name one with --passkey-origin",
		},
		"registration works twice": {
			passkeyAdded(1),
			"finishPasskeyRegistration: success", "status must be 403",
		},
		"passkey of another origin": {
			passkeyAdded(2),
			"finishPasskeyRegistration: passkeys that", "status must be 403",
		},
		"passkey without user verification": {
			passkeyAdded(3),
			"finishPasskeyRegistration: passkeys that", "status must be 403",
		},
		"passkey of another session": {
			passkeyAdded(4),
			"finishPasskeyRegistration: passkeys that", "status must be 403",
		},
		"passkey added twice": {
			on(finishPasskey, func(e *exchange) {
				if e.status == http.StatusConflict {
					e.status, e.body = http.StatusOK, onePasskey
					e.header.Set("Content-Type", "application/json")
				}
			}),
			"finishPasskeyRegistration: success", "status must be 409",
		},
		"passkey not listed": {success(listPasskeys, `{"passkeys":[]}`), "listPasskeys: success", "must contain the passkey"},
		"passkey not renamed": {
			swap(listPasskeys, ` 2"`, `"`),
			"renamePasskey: success", "its new name",
		},
		"login options name an account": {
			swap(passkeyOptions, `"allowCredentials":[`, `"allowCredentials":[{"type":"public-key","id":"A","transports":[]}`),
			"startPasskeyLogin: success", "allowCredentials must be empty",
		},
		"login without user verification": {
			swap(passkeyOptions, `"userVerification":"required"`, `"userVerification":"preferred"`),
			"startPasskeyLogin: success", "userVerification must be required",
		},
		"same challenge for two logins": {again(passkeyOptions), "startPasskeyLogin: success", "must be a new one"},
		"short challenge": {
			on(passkeyOptions, func(e *exchange) { e.body = strings.Replace(e.body, member(e.body, "challenge"), "AAAA", 1) }),
			"startPasskeyLogin: success", "at least 16 bytes",
		},
		"answer works twice":       {again(passkeyLogin), "finishPasskeyLogin: success", "status must be 401"},
		"one factor for a passkey": {claims(passkeyLogin, "acr"), "finishPasskeyLogin: success", "claims acr"},
		"unknown passkey logs in":  {passkeyRefused(2), "finishPasskeyLogin: passkeys that", "status must be 401"},
		"login on another origin":  {passkeyRefused(3), "finishPasskeyLogin: passkeys that", "status must be 401"},
		"login of an unverified user": {
			passkeyRefused(4),
			"finishPasskeyLogin: passkeys that", "status must be 401",
		},
		"wrong signature":   {passkeyRefused(5), "finishPasskeyLogin: passkeys that", "status must be 401"},
		"unknown challenge": {passkeyRefused(6), "finishPasskeyLogin: passkeys that", "status must be 401"},
		"login with a removed passkey": {
			passkeyRefused(7),
			"deletePasskey: success", "status must be 401",
		},
		"login reveals passkeys": {
			passkeyRefusedBy(3, func(e *exchange) { e.header.Set("X-Known", "yes") }),
			"finishPasskeyLogin: passkeys that", "the same response",
		},
	}
}

// recoveryCodes returns the recovery codes in a response.
func recoveryCodes(e *exchange) []string {
	var document struct{ RecoveryCodes []string }
	_ = json.Unmarshal([]byte(e.body), &document) // not all bodies are JSON
	return document.RecoveryCodes
}

// onePasskey is a valid response of finishPasskeyRegistration.
const onePasskey = `{"id":"x","name":"N","createdAt":"2026-11-26T09:00:00Z","lastUsedAt":null}`

// success replaces the body of a success.
func success(call, content string) func(*exchange) {
	return on(call, func(e *exchange) {
		if e.status == http.StatusOK {
			e.body = content
		}
	})
}

// acceptLoginToken accepts a login token as an access token.
func acceptLoginToken() func(*exchange) {
	loginTokens := make(map[string]bool)
	return func(e *exchange) {
		if token := member(e.body, "loginToken"); token != "" {
			loginTokens[token] = true
		}
		if e.call == authenticate && loginTokens[e.bearer] {
			e.header.Set("Content-Type", "application/json")
			e.status = http.StatusOK
			e.body = `{"message":"M","userId":"x","sessionId":"x","user":{"name":"N","email":"n@example.com","bio":null}}`
		}
	}
}

// succeed replaces a problem with tokens.
func succeed(call, code string) func(*exchange) {
	return on(call, func(e *exchange) {
		if member(e.body, "code") == code {
			e.header.Set("Content-Type", "application/json")
			e.status, e.body = http.StatusOK, successes[logIn].body
		}
	})
}

// afterCall changes responses after another call.
func afterCall(call string, change func(*exchange)) func(*exchange) {
	active := false
	return func(e *exchange) {
		active = active || e.call == call && e.status == http.StatusOK
		if active {
			change(e)
		}
	}
}

// lastCode accepts the last code that a call has accepted.
func lastCode(call string) func(*exchange) {
	var last string
	accept := succeed(call, "invalid_code")
	return on(call, func(e *exchange) {
		if code := member(e.requestBody, "code"); e.status == http.StatusOK {
			last = code
		} else if code == last {
			accept(e)
		}
	})
}

// keepCodes returns the first recovery codes instead of new ones.
func keepCodes() func(*exchange) {
	var latest string
	return func(e *exchange) {
		switch {
		case e.status != http.StatusOK:
		case e.call == confirm:
			latest = e.body
		case e.call == renewCodes:
			e.body = latest
		}
	}
}

// claims removes a claim from the access tokens of a call. Their signature is then wrong.
func claims(call, name string) func(*exchange) {
	return on(call, func(e *exchange) {
		access := member(e.body, "accessToken")
		parts := strings.Split(access, ".")
		if len(parts) != 3 {
			return
		}
		var content map[string]any
		payload, _ := base64.RawURLEncoding.DecodeString(parts[1])
		_ = json.Unmarshal(payload, &content)
		delete(content, name)
		payload, _ = json.Marshal(content)
		parts[1] = base64.RawURLEncoding.EncodeToString(payload)
		e.body = strings.Replace(e.body, access, strings.Join(parts, "."), 1)
	})
}

// stepUp returns 403 incorrect_password where a proof of the second factor is required.
func stepUp(call string) func(*exchange) {
	return on(call, func(e *exchange) {
		if member(e.body, "code") == "insufficient_user_authentication" {
			problem(e, http.StatusForbidden, "incorrect_password", "")
		}
	})
}

func dropFromChallenge(e *exchange, part string) {
	e.header.Set("WWW-Authenticate", strings.Replace(e.header.Get("WWW-Authenticate"), part, "", 1))
}

// passkeyAdded replaces the refusal number n of a passkey with a success.
func passkeyAdded(n int) func(*exchange) {
	return on(finishPasskey, func(e *exchange) {
		if member(e.body, "code") != "invalid_passkey" {
			return
		}
		if n--; n == 0 {
			e.status, e.body = http.StatusOK, onePasskey
			e.header.Set("Content-Type", "application/json")
		}
	})
}

// passkeyRefused replaces the refusal number n of a login with a passkey with a success.
func passkeyRefused(n int) func(*exchange) {
	return passkeyRefusedBy(n, succeed(passkeyLogin, "invalid_passkey"))
}

// passkeyRefusedBy changes the refusal number n of a login with a passkey.
func passkeyRefusedBy(n int, change func(*exchange)) func(*exchange) {
	return on(passkeyLogin, func(e *exchange) {
		if member(e.body, "code") != "invalid_passkey" {
			return
		}
		if n--; n == 0 {
			change(e)
		}
	})
}
