import { unlessRejected, unwrap } from "./calls.js";
import { Connection } from "./connection.js";
import type { components } from "./openapi.js";
import type { SessionEvent } from "./observed.js";
import { choosePasskey, createPasskey, requirePasskeys, type PasskeyLoginOptions } from "./passkeys.js";
import type { StepUp } from "./step-up.js";
import { memoryStorage, type TokenStorage } from "./tokens.js";

type Schemas = components["schemas"];

export interface SessionOptions {
  /** The URL of the server, such as https://auth.example.com. */
  server: string;
  /** The services that also get the access token, such as https://api.example.com. */
  origins?: string[];
  /** Stores the tokens. The default is `memoryStorage()`. */
  storage?: TokenStorage;
  /**
   * Called if the server or a service requires a more recent login, or two factors. It usually asks the user for the
   * password and, if the account has one, a code, and calls `reauthenticate`. Then the request is sent again once. If
   * it throws, the request fails with its error. Concurrent requests share one call. It must not wait for a request
   * that requires a recent login itself.
   *
   * Without it, methods throw a Problem with the code `insufficient_user_authentication`, and `fetch` returns the 401.
   */
  onStepUp?: (required: StepUp) => void | Promise<void>;
}

/**
 * The session of one user, who may be logged in or not.
 *
 * Methods throw a Problem if the server returns an error. If there is no response, they throw the error of fetch.
 * The comment of a method names the codes that only some methods have. Any method can throw `validation_failed`,
 * `too_many_requests` and `unavailable`. A method that needs a session says so, and throws `invalid_access_token`
 * if there is none or it has ended. The other methods send no access token. A method that needs a recent login calls
 * `onStepUp`, or throws `insufficient_user_authentication`.
 */
export class Session {
  readonly #connection: Connection;
  readonly #anonymous: Connection["anonymous"];
  readonly #authorized: Connection["authorized"];

  /**
   * Resumes the session in the storage, or starts logged out. Throws a TypeError if a URL is not https. For
   * development, http is allowed with localhost or a loopback address.
   */
  constructor({ server, origins = [], storage = memoryStorage(), onStepUp }: SessionOptions) {
    this.#connection = new Connection(server, origins, storage, onStepUp);
    this.#anonymous = this.#connection.anonymous;
    this.#authorized = this.#connection.authorized;
  }

  /**
   * Whether there are tokens. It sends no request, so the server may have ended the session in the meantime: then the
   * next refresh deletes the tokens. With an asynchronous storage, it is false until the tokens have been read, and
   * onChange reports that.
   */
  get isLoggedIn(): boolean {
    return this.#connection.storage.hasTokens;
  }

  /**
   * Calls the listener when the session changes, and returns a function that stops this. If the storage has a
   * `subscribe` method, changes by other tabs are included. An error in the listener goes to the console.
   */
  readonly onChange = (listener: (event: SessionEvent) => void): (() => void) =>
    this.#connection.storage.subscribe(listener);

  /**
   * Like the global fetch, but adds the access token if the request goes to the server or a listed origin. An origin
   * is the scheme, the host and the port: a token for https://api.example.com is not sent to http://api.example.com.
   * Other clients can use it too, for example openapi-fetch. On a redirect to another origin, the browser removes the
   * token (Fetch Standard, section 4.4).
   *
   * The tokens are refreshed when nine tenths of the access token's lifetime have passed, and when the response is a
   * 401 with error="invalid_token". After a 401, the request is sent again, so its body is kept in memory. It is also
   * sent again after `onStepUp`, which a 401 with error="insufficient_user_authentication" (RFC 9470) calls.
   *
   * If the server rejects the refresh token, the session has ended: the tokens are deleted, and the caller gets the
   * 401. If a refresh fails for another reason, the tokens are kept. Requests use the old access token while the
   * server accepts it, and throw the error of the refresh afterwards.
   */
  readonly fetch = (input: RequestInfo | URL, init?: RequestInit): Promise<Response> =>
    this.#connection.fetch(input, init);

  /**
   * Creates an account and returns its user. It does not log in. Codes: `email_taken`, `weak_password`,
   * `registration_closed`.
   */
  async register(input: Schemas["RegisterInput"]): Promise<Schemas["User"]> {
    const { user } = await unwrap(this.#anonymous.POST("/auth/register", { body: input }));
    return user;
  }

  /**
   * Starts a session and stores its tokens. A session that exists already is replaced but not revoked; call logout
   * first to do that. Codes: `invalid_credentials`, `email_not_verified`, and `second_factor_required` if the account
   * has a second factor: then call completeLogin with the `loginToken` of the problem.
   */
  async login(email: string, password: string): Promise<void> {
    const body = { email, password };
    await this.#connection.startSession(() => this.#anonymous.POST("/auth/login", { body }));
  }

  /**
   * Completes a login with a code of the authenticator app or a recovery code. Codes: `invalid_code`, after which it
   * can be called again, `invalid_login_token`, after which the login starts again.
   */
  async completeLogin(loginToken: string, code: string): Promise<void> {
    const body = { loginToken, code };
    await this.#connection.startSession(() => this.#anonymous.POST("/auth/login/second-factor", { body }));
  }

  /**
   * Proves the identity of the logged-in user again, usually in `onStepUp`. This session continues with the tokens of a
   * recent login. An account without a password calls loginWithPasskey instead. It needs a session. Codes:
   * `incorrect_password`, `invalid_code`.
   */
  async reauthenticate(body: Schemas["ReauthenticateInput"]): Promise<void> {
    await this.#connection.replaceTokens((headers) => this.#anonymous.POST("/auth/reauthenticate", { body, headers }));
  }

  /** Revokes the session and deletes the tokens. After an error the tokens are kept, so logout can be called again. */
  async logout(): Promise<void> {
    const { storage } = this.#connection;
    await this.#connection.exclusively(async () => {
      const tokens = await storage.load();
      if (!tokens) return;
      const body = { refreshToken: tokens.refreshToken };
      await unlessRejected(() => unwrap(this.#anonymous.POST("/auth/logout", { body })));
      await storage.save(undefined);
    });
  }

  /** Asks the server for the user of the session, which it needs. */
  async authenticate(): Promise<Schemas["User"]> {
    const { user } = await unwrap(this.#authorized.POST("/auth"));
    if (!user) throw new Error("the response contains no user");
    return user;
  }

  /** Returns the account with everything that the user can see and change. It needs a session. */
  async account(): Promise<Schemas["Account"]> {
    return unwrap(this.#authorized.GET("/auth/account"));
  }

  /**
   * Changes the name, the bio or both, and returns the account. A property that is absent or undefined stays as it is;
   * a bio of null is removed. It needs a session.
   */
  async updateAccount(changes: Schemas["UpdateAccountInput"]): Promise<Schemas["Account"]> {
    return unwrap(this.#authorized.PATCH("/auth/account", { body: changes }));
  }

  /**
   * Sets a new password. This session continues with new tokens, and all other sessions of the account end. It needs a
   * session, of a recent login if the account has a second factor or no password. Codes: `incorrect_password`,
   * `weak_password`.
   */
  async changePassword(body: Schemas["ChangePasswordInput"]): Promise<void> {
    await this.#connection.replaceTokens((headers) => this.#anonymous.POST("/auth/change-password", { body, headers }));
  }

  /** Requests an email with a link to reset the password. It also succeeds if no account has this email. */
  async forgotPassword(email: string): Promise<void> {
    await unwrap(this.#anonymous.POST("/auth/forgot-password", { body: { email } }));
  }

  /**
   * Sets a new password with the token from the emailed link. It revokes all sessions of the account. Codes:
   * `invalid_link`, `weak_password`.
   */
  async resetPassword(token: string, password: string): Promise<void> {
    const params = { query: { token } };
    await unwrap(this.#anonymous.POST("/auth/reset-password", { params, body: { password } }));
  }

  /**
   * Requests an email with a link to verify the email. It also succeeds if no account has this email, or if it is
   * verified already.
   */
  async sendVerificationEmail(email: string): Promise<void> {
    await unwrap(this.#anonymous.POST("/auth/send-verification-email", { body: { email } }));
  }

  /**
   * Verifies the email with the token from the emailed link and the password of the account. After a wrong password,
   * the token can be used again. Codes: `invalid_link`, `incorrect_password`.
   */
  async verifyEmail(token: string, password: string): Promise<void> {
    await unwrap(this.#anonymous.POST("/auth/verify-email", { body: { token, password } }));
  }

  /**
   * Sends a link to a new email. The email changes when confirmEmailChange is called with its token. It also succeeds
   * if another account has the new email. It needs a session, of a recent login if the account has a second factor or
   * no password. Code: `incorrect_password`.
   */
  async changeEmail(email: string, password?: string): Promise<void> {
    const body = { email, ...(password !== undefined && { password }) };
    await unwrap(this.#authorized.POST("/auth/change-email", { body }));
  }

  /** Makes the link of changeEmail invalid. It also succeeds if there is none. It needs a session. */
  async cancelEmailChange(): Promise<void> {
    await unwrap(this.#authorized.DELETE("/auth/change-email"));
  }

  /**
   * Changes the email, with the token from the link to the new email and the password of the account. If the old email
   * was verified, it gets a link to undo the change. After a wrong password, the token can be used again. Codes:
   * `invalid_link`, `incorrect_password`.
   */
  async confirmEmailChange(token: string, password: string): Promise<void> {
    await unwrap(this.#anonymous.POST("/auth/confirm-email-change", { body: { token, password } }));
  }

  /**
   * Restores the previous email with the token from the link that it was sent. It revokes all sessions of the account,
   * the password stops working, and the restored email gets a link to set a new one. Code: `invalid_link`.
   */
  async undoEmailChange(token: string): Promise<void> {
    await unwrap(this.#anonymous.POST("/auth/undo-email-change", { body: { token } }));
  }

  /**
   * Returns what the token of an emailed link is for, and until when it is valid. It does not use the token up: call
   * it when the page of the link opens. Code: `invalid_link`.
   */
  async checkEmailLink(token: string): Promise<Schemas["EmailLink"]> {
    return unwrap(this.#anonymous.POST("/auth/check-email-link", { body: { token } }));
  }

  /** Returns all data of the account, for the user to keep. It needs a session. */
  async exportAccount(): Promise<Schemas["AccountExport"]> {
    return unwrap(this.#authorized.GET("/auth/account/export"));
  }

  /**
   * Deletes the account for good. All of its sessions end, also this one. It needs a session, of a recent login if the
   * account has a second factor or no password. Code: `incorrect_password`.
   */
  async deleteAccount(password?: string): Promise<void> {
    const body = { ...(password !== undefined && { password }) };
    await this.#connection.endSession((headers) => this.#anonymous.POST("/auth/delete-account", { body, headers }));
  }

  /** Returns the active sessions of the user, the newest first. It needs a session, whose `current` is true. */
  async sessions(): Promise<Schemas["Session"][]> {
    const { sessions } = await unwrap(this.#authorized.GET("/auth/sessions"));
    return sessions;
  }

  /**
   * Revokes the session with this id, which sessions returns. If it is this session, its tokens are deleted, too. It
   * needs a session. Code: `not_found`.
   */
  async revokeSession(id: string): Promise<void> {
    const params = { path: { sessionId: id } };
    await this.#connection.withLock(async (headers) => {
      const { sessionId } = await unwrap(this.#anonymous.POST("/auth", { headers }));
      await unwrap(this.#anonymous.DELETE("/auth/sessions/{sessionId}", { params, headers }));
      if (sessionId === id) await this.#connection.storage.save(undefined);
    });
  }

  /**
   * Revokes all sessions of the user, and deletes the tokens. With `keepCurrent`, this session continues. It needs a
   * session.
   */
  async logoutEverywhere({ keepCurrent = false }: { keepCurrent?: boolean } = {}): Promise<void> {
    const options = { body: { keepCurrent } };
    if (keepCurrent) {
      await unwrap(this.#authorized.POST("/auth/logout-everywhere", options));
      return;
    }
    await this.#connection.endSession((headers) =>
      this.#anonymous.POST("/auth/logout-everywhere", { ...options, headers }),
    );
  }

  /** Returns the second factors of the account, and the number of unused recovery codes. It needs a session. */
  async factors(): Promise<Schemas["FactorList"]> {
    return unwrap(this.#authorized.GET("/auth/factors"));
  }

  /**
   * Returns a secret for an authenticator app: show its `uri` as a QR code. Nothing changes until confirmTOTP. It needs
   * a recent login. Codes: `factor_exists`, `email_not_verified`.
   */
  async enrollTOTP(): Promise<Schemas["TOTPSecret"]> {
    return unwrap(this.#authorized.POST("/auth/factors/totp"));
  }

  /**
   * Adds the authenticator app, with its current code. Returns the recovery codes: show them to the user, because they
   * cannot be read again. It refreshes the tokens, because the session now has two factors. It needs a recent login.
   * Codes: `invalid_code`, `not_found` without a secret, `factor_exists`, `email_not_verified`.
   */
  async confirmTOTP(code: string): Promise<string[]> {
    const { recoveryCodes } = await unwrap(this.#authorized.POST("/auth/factors/totp/confirm", { body: { code } }));
    await this.#connection.refreshNow().catch(() => undefined); // best effort
    return recoveryCodes;
  }

  /**
   * Removes the authenticator app and the recovery codes. It needs a recent login. Codes: `not_found`,
   * `email_not_verified`.
   */
  async removeTOTP(): Promise<void> {
    await unwrap(this.#authorized.DELETE("/auth/factors/totp"));
  }

  /**
   * Replaces the recovery codes and returns the new ones. It needs a recent login. Codes: `not_found` without a second
   * factor, `email_not_verified`.
   */
  async renewRecoveryCodes(): Promise<string[]> {
    const { recoveryCodes } = await unwrap(this.#authorized.POST("/auth/recovery-codes"));
    return recoveryCodes;
  }

  /** Returns the passkeys of the account, the oldest first. It needs a session. */
  async passkeys(): Promise<Schemas["Passkey"][]> {
    const { passkeys } = await unwrap(this.#authorized.GET("/auth/passkeys"));
    return passkeys;
  }

  /**
   * Lets the user create a passkey in the browser, and adds it to the account. Without a name, the server chooses one.
   * It needs a recent login. Codes: those of startPasskeyRegistration and finishPasskeyRegistration.
   *
   * Throws the DOMException of the browser: `NotAllowedError` if the user cancels, `InvalidStateError` if the device
   * has a passkey of the account already, the reason of the signal, and `NotSupportedError` if the browser has no
   * passkeys.
   */
  async registerPasskey(name?: string, { signal }: { signal?: AbortSignal } = {}): Promise<Schemas["Passkey"]> {
    await requirePasskeys();
    const options = await unwrap(this.#authorized.POST("/auth/passkey-options", { ...(signal && { signal }) }));
    return this.finishPasskeyRegistration(await createPasskey(options, signal), name);
  }

  /**
   * Lets the user choose a passkey in the browser, and starts a session with it. A second factor is not needed. Codes:
   * `invalid_passkey`, `email_not_verified`. Throws DOMExceptions like registerPasskey.
   *
   * With the mediation `conditional`, the browser offers the passkeys in the autofill of an email field. Call it when
   * the page opens. It waits until the user chooses a passkey or the signal is aborted.
   */
  async loginWithPasskey({ mediation, signal }: PasskeyLoginOptions = {}): Promise<void> {
    await requirePasskeys(mediation);
    const choice = { ...(mediation && { mediation }), ...(signal && { signal }) };
    for (;;) {
      const init = { ...(signal && { signal }) };
      const options = await unwrap(this.#anonymous.POST("/auth/login/passkey/options", init));
      const credential = await choosePasskey(options, choice);
      if (credential) return this.finishPasskeyLogin(credential);
    }
  }

  /**
   * Returns the options for a new passkey. registerPasskey does all steps in a browser; this is for other programs. It
   * needs a recent login. Codes: `passkey_limit`, `email_not_verified`.
   */
  async startPasskeyRegistration(): Promise<Schemas["PasskeyCreationOptions"]> {
    return unwrap(this.#authorized.POST("/auth/passkey-options"));
  }

  /**
   * Adds the passkey that was created with the options. It needs a recent login. Codes: `invalid_passkey`,
   * `passkey_exists`, `passkey_limit`, `email_not_verified`.
   */
  async finishPasskeyRegistration(
    credential: Schemas["PasskeyRegistration"],
    name?: string,
  ): Promise<Schemas["Passkey"]> {
    const body = { credential, ...(name !== undefined && { name }) };
    return unwrap(this.#authorized.POST("/auth/passkeys", { body }));
  }

  /** Renames a passkey, and returns it. It needs a session. Code: `not_found`. */
  async renamePasskey(id: string, name: string): Promise<Schemas["Passkey"]> {
    const params = { path: { passkeyId: id } };
    return unwrap(this.#authorized.PATCH("/auth/passkeys/{passkeyId}", { params, body: { name } }));
  }

  /**
   * Removes a passkey. It needs a recent login. Codes: `not_found`, `email_not_verified`, and `last_passkey` if the
   * account has no password and no other passkey.
   */
  async deletePasskey(id: string): Promise<void> {
    const params = { path: { passkeyId: id } };
    await unwrap(this.#authorized.DELETE("/auth/passkeys/{passkeyId}", { params }));
  }

  /** Returns the options for a login with a passkey. loginWithPasskey does all steps in a browser. */
  async startPasskeyLogin(): Promise<Schemas["PasskeyRequestOptions"]> {
    return unwrap(this.#anonymous.POST("/auth/login/passkey/options"));
  }

  /**
   * Starts a session with the answer of a passkey to the options. Like login, it replaces a session but does not revoke
   * it. Codes: `invalid_passkey`, `email_not_verified`.
   */
  async finishPasskeyLogin(credential: Schemas["PasskeyAssertion"]): Promise<void> {
    const body = { credential };
    await this.#connection.startSession(() => this.#anonymous.POST("/auth/login/passkey", { body }));
  }
}
