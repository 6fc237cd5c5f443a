import { requestTokens, unlessRejected, unwrap } from "./calls.js";
import { Connection } from "./connection.js";
import type { components } from "./openapi.js";
import type { SessionEvent } from "./observed.js";
import { memoryStorage, type TokenStorage } from "./tokens.js";

type Schemas = components["schemas"];

export interface SessionOptions {
  /** The URL of the server, such as https://auth.example.com. */
  server: string;
  /** The services that also get the access token, such as https://api.example.com. */
  origins?: string[];
  /** Stores the tokens. The default is `memoryStorage()`. */
  storage?: TokenStorage;
}

/**
 * The session of one user, who may be logged in or not.
 *
 * Methods throw a Problem if the server returns an error. If there is no response, they throw the error of fetch.
 * The comment of a method names the codes that only some methods have. Any method can throw `validation_failed`,
 * `too_many_requests` and `unavailable`. A method that needs a session says so, and throws `invalid_access_token`
 * if there is none or it has ended. The other methods send no access token.
 */
export class Session {
  readonly #connection: Connection;
  readonly #anonymous: Connection["anonymous"];
  readonly #authorized: Connection["authorized"];

  /**
   * Resumes the session in the storage, or starts logged out. Throws a TypeError if a URL is not https. For
   * development, http is allowed with localhost or a loopback address.
   */
  constructor({ server, origins = [], storage = memoryStorage() }: SessionOptions) {
    this.#connection = new Connection(server, origins, storage);
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
   * 401 with error="invalid_token". After a 401, the request is sent again, so its body is kept in memory.
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
   * first to do that. Codes: `invalid_credentials`, `email_not_verified`.
   */
  async login(email: string, password: string): Promise<void> {
    await this.#connection.exclusively(async () => {
      const body = { email, password };
      const tokens = await requestTokens(() => this.#anonymous.POST("/auth/login", { body }));
      await this.#connection.storage.save({ ...tokens, loggedInAt: Date.now() });
    });
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
   * session. Codes: `incorrect_password`, `weak_password`.
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
   * if another account has the new email. It needs a session. Code: `incorrect_password`.
   */
  async changeEmail(email: string, password: string): Promise<void> {
    await unwrap(this.#authorized.POST("/auth/change-email", { body: { email, password } }));
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
   * Deletes the account for good. All of its sessions end, also this one. It needs a session. Code:
   * `incorrect_password`.
   */
  async deleteAccount(password: string): Promise<void> {
    const body = { password };
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
}
