import createClient from "openapi-fetch";
import type { components, paths } from "./openapi.js";
import { ObservedStorage, type SessionEvent } from "./observed.js";
import { Problem } from "./problem.js";
import { memoryStorage, type Tokens, type TokenStorage } from "./tokens.js";

type Schemas = components["schemas"];

export interface SessionOptions {
  /** The URL of the server, such as https://auth.example.com. */
  server: string;
  /** The services that also get the access token, such as https://api.example.com. */
  origins?: string[];
  /** Stores the tokens. The default is `memoryStorage()`. */
  storage?: TokenStorage;
}

/** The timeout of a refresh, including a retry, in milliseconds. */
const refreshTimeout = 30_000;
/** The maximum wait before the retry, in milliseconds. */
const maxRetryAfter = 5_000;

/** Matches the challenge for a token that has expired or was revoked (RFC 6750, section 3.1). */
const invalidToken = /\bbearer\b.*\berror="?invalid_token\b/i;

/** Matches the hosts that need no TLS. URL has brought IP addresses into their usual form. */
const loopback = /^(localhost|127(\.\d+){3}|\[::1\])$/;

/**
 * The session of one user, who may be logged in or not.
 *
 * Methods throw a Problem if the server returns an error. If there is no response, they throw the error of fetch.
 */
export class Session {
  readonly #origins: Set<string>;
  readonly #storage: ObservedStorage;
  readonly #lock: string;
  readonly #anonymous;
  readonly #authorized;
  #last: Promise<unknown> = Promise.resolve(); // the last change of the tokens
  #refreshing: Promise<Tokens | undefined> | undefined;
  #notBefore = 0; // after a failed refresh: no early refresh before this time

  /**
   * Resumes the session in the storage, or starts logged out. Throws a TypeError if a URL is not https. For
   * development, http is allowed with localhost or a loopback address.
   */
  constructor({ server, origins = [], storage = memoryStorage() }: SessionOptions) {
    this.#origins = new Set([server, ...origins].map(originOf));
    this.#storage = new ObservedStorage(storage);
    this.#lock = `sesame ${server}`;
    // Sesame sends no redirects. Following one could send a password or a refresh token to another server.
    const options = { baseUrl: server, redirect: "error" } as const;
    this.#anonymous = createClient<paths>(options);
    this.#authorized = createClient<paths>({ ...options, fetch: (request) => this.fetch(request) });
  }

  /**
   * Whether there are tokens. It sends no request, so the server may have ended the session in the meantime: then the
   * next refresh deletes the tokens. With an asynchronous storage, it is false until the tokens have been read, and
   * onChange reports that.
   */
  get isLoggedIn(): boolean {
    return this.#storage.hasTokens;
  }

  /**
   * Calls the listener when the session changes, and returns a function that stops this. If the storage has a
   * `subscribe` method, changes by other tabs are included. An error in the listener goes to the console.
   */
  readonly onChange = (listener: (event: SessionEvent) => void): (() => void) => this.#storage.subscribe(listener);

  /** Creates an account and returns its user. It does not log in. */
  async register(input: Schemas["RegisterInput"]): Promise<Schemas["User"]> {
    const { user } = await unwrap(this.#anonymous.POST("/auth/register", { body: input }));
    return user;
  }

  /**
   * Starts a session and stores its tokens. A session that exists already is replaced but not revoked; call logout
   * first to do that.
   */
  async login(email: string, password: string): Promise<void> {
    await this.#exclusively(async () => {
      const body = { email, password };
      const tokens = await requestTokens(() => this.#anonymous.POST("/auth/login", { body }));
      await this.#storage.save({ ...tokens, loggedInAt: Date.now() });
    });
  }

  /** Revokes the session and deletes the tokens. After an error the tokens are kept, so logout can be called again. */
  async logout(): Promise<void> {
    await this.#exclusively(async () => {
      const tokens = await this.#storage.load();
      if (!tokens) return;
      const body = { refreshToken: tokens.refreshToken };
      await unlessRejected(() => unwrap(this.#anonymous.POST("/auth/logout", { body })));
      await this.#storage.save(undefined);
    });
  }

  /**
   * Asks the server for the user of the session. If there is no session, or it has ended, it throws a Problem with the
   * code `invalid_access_token`.
   */
  async authenticate(): Promise<Schemas["User"]> {
    const { user } = await unwrap(this.#authorized.POST("/auth"));
    if (!user) throw new Error("the response contains no user");
    return user;
  }

  /** Sets a new password. This session continues with new tokens, and all other sessions of the account end. */
  async changePassword(body: Schemas["ChangePasswordInput"]): Promise<void> {
    await this.#replaceTokens((headers) => this.#anonymous.POST("/auth/change-password", { body, headers }));
  }

  /** Requests an email with a link to reset the password. It also succeeds if no account has this email. */
  async forgotPassword(email: string): Promise<void> {
    await unwrap(this.#anonymous.POST("/auth/forgot-password", { body: { email } }));
  }

  /** Sets a new password with the token from the emailed link. It revokes all sessions of the account. */
  async resetPassword(token: string, password: string): Promise<void> {
    const params = { query: { token } };
    await unwrap(this.#anonymous.POST("/auth/reset-password", { params, body: { password } }));
  }

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
  readonly fetch = async (input: RequestInfo | URL, init?: RequestInit): Promise<Response> => {
    const request = new Request(input, init);
    if (request.headers.has("Authorization") || !this.#origins.has(new URL(request.url).origin)) {
      return fetch(request);
    }
    const { tokens, failure } = await this.#current();
    const again = request.clone();
    const response = await fetch(authorized(request, tokens));
    const challenged = response.status === 401 && invalidToken.test(response.headers.get("WWW-Authenticate") ?? "");
    if (!tokens || !challenged || !this.#isFromOrigin(response)) return response;
    if (failure) throw failure.reason;
    const fresh = await this.#refresh(tokens);
    if (!fresh || fresh.loggedInAt !== tokens.loggedInAt) return response; // do not repeat it as another user
    await response.body?.cancel();
    return fetch(authorized(again, fresh));
  };

  /** Reports whether a response is from the server or a listed origin, and not from where one redirected to. */
  #isFromOrigin({ url }: Response): boolean {
    return url !== "" && this.#origins.has(new URL(url).origin); // no URL: opaque, or not from a network
  }

  /**
   * Returns the tokens to send, refreshed if they are due. If the refresh fails, it returns the old tokens, which may
   * still work, and the failure.
   */
  async #current(): Promise<{ tokens: Tokens | undefined; failure?: { reason: unknown } }> {
    const tokens = await this.#storage.load();
    if (!tokens || Date.now() < Math.max(tokens.refreshAt, this.#notBefore)) return { tokens };
    try {
      return { tokens: await this.#refresh(tokens) };
    } catch (reason) {
      return { tokens, failure: { reason } };
    }
  }

  /** Returns the tokens that replace stale, or undefined if the session has ended. Concurrent calls share a refresh. */
  #refresh(stale: Tokens): Promise<Tokens | undefined> {
    this.#refreshing ??= this.#exclusively(async () => {
      const stored = await this.#storage.load();
      if (stored?.accessToken !== stale.accessToken) return stored; // another tab was faster
      return this.#renew(stored);
    })
      .catch((reason: unknown) => {
        this.#notBefore = Date.now() + maxRetryAfter; // until then, requests use the old tokens
        throw reason;
      })
      .finally(() => {
        this.#refreshing = undefined;
      });
    return this.#refreshing;
  }

  /** Exchanges and stores the tokens, or deletes them if the session has ended. The caller has the lock. */
  async #renew(stored: Tokens): Promise<Tokens | undefined> {
    const fresh = await unlessRejected(() => this.#exchange(stored.refreshToken));
    const tokens = fresh && { ...fresh, loggedInAt: stored.loggedInAt };
    await this.#storage.save(tokens);
    return tokens;
  }

  /**
   * Calls an operation that returns new tokens of the same session, and stores them. It takes the lock, so that no
   * refresh uses the old tokens at the same time, and refreshes by itself if the access token is rejected.
   */
  #replaceTokens(operation: (headers: HeadersInit) => Promise<Result<Schemas["Tokens"]>>): Promise<void> {
    return this.#exclusively(async () => {
      let tokens = await this.#storage.load();
      const replace = async () => {
        const headers = tokens ? { Authorization: `Bearer ${tokens.accessToken}` } : {};
        const fresh = await requestTokens(() => operation(headers));
        await this.#storage.save({ ...fresh, loggedInAt: tokens?.loggedInAt ?? Date.now() });
      };
      try {
        await replace();
      } catch (reason) {
        if (!tokens || !(reason instanceof Problem) || reason.code !== "invalid_access_token") throw reason;
        tokens = await this.#renew(tokens);
        if (!tokens) throw reason;
        await replace();
      }
    });
  }

  /**
   * Exchanges a refresh token for new tokens. It retries once if the server is unavailable. Repeating the request is
   * safe: within the grace period, the server returns the same new tokens again.
   */
  async #exchange(refreshToken: string): Promise<NewTokens> {
    const options = { body: { refreshToken }, signal: AbortSignal.timeout(refreshTimeout) };
    const exchange = () => requestTokens(() => this.#anonymous.POST("/auth/refresh-tokens", options));
    try {
      return await exchange();
    } catch (reason) {
      const wait = reason instanceof Problem ? (reason.retryAfter ?? 0) * 1000 : 0;
      if (wait > maxRetryAfter || (reason instanceof Problem && reason.status !== 503)) throw reason;
      await new Promise((resolve) => setTimeout(resolve, wait));
      return await exchange();
    }
  }

  /** Runs one change of the tokens at a time, across all tabs if the browser supports Web Locks. */
  #exclusively<T>(change: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(() => {
      const locks = (globalThis.navigator as Navigator | undefined)?.locks as LockManager | undefined;
      return locks ? (locks.request(this.#lock, change) as Promise<T>) : change();
    });
    this.#last = turn.catch(() => undefined);
    return turn;
  }
}

/** Returns the origin of a URL. Throws if tokens and passwords would be sent there without TLS. */
function originOf(url: string): string {
  let parsed: URL;
  try {
    parsed = new URL(url);
  } catch {
    throw new TypeError(`${url}: must be a URL, such as https://auth.example.com`);
  }
  const { protocol, hostname, username, password, search, hash, origin } = parsed;
  if (username || password || search || hash) {
    throw new TypeError(`${url}: must be a URL, such as https://auth.example.com`);
  }
  if (protocol !== "https:" && !(protocol === "http:" && loopback.test(hostname))) {
    throw new TypeError(`${url}: must be https, except for a loopback address`);
  }
  return origin;
}

function authorized(request: Request, tokens: Tokens | undefined): Request {
  if (tokens) request.headers.set("Authorization", `Bearer ${tokens.accessToken}`);
  return request;
}

/** The result of a call of openapi-fetch. */
interface Result<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/** Returns the body of a response. Throws a Problem if it is not a success. */
async function unwrap<T>(call: Promise<Result<T>>): Promise<T> {
  const { data, error, response } = await call;
  if (!response.ok || data === undefined) throw new Problem(response, error);
  return data;
}

/** The tokens of a response. The caller knows when the session started. */
type NewTokens = Omit<Tokens, "loggedInAt">;

/** Calls an operation that returns tokens, and schedules their refresh. */
async function requestTokens(operation: () => Promise<Result<Schemas["Tokens"]>>): Promise<NewTokens> {
  const started = Date.now();
  const { accessToken, refreshToken, expiresIn } = await unwrap(operation());
  const delay = expiresIn * 900; // nine tenths of the lifetime, in milliseconds
  return { accessToken, refreshToken, refreshAt: started + delay };
}

/** Returns the result of a call, or undefined if the server rejected the refresh token. */
async function unlessRejected<T>(call: () => Promise<T>): Promise<T | undefined> {
  try {
    return await call();
  } catch (reason) {
    if (reason instanceof Problem && reason.code === "invalid_refresh_token") return undefined;
    throw reason;
  }
}
