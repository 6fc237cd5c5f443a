import createClient from "openapi-fetch";
import { requestTokens, unlessRejected, unwrap, type NewTokens, type Result } from "./calls.js";
import type { components, paths } from "./openapi.js";
import { ObservedStorage } from "./observed.js";
import { Problem } from "./problem.js";
import { isSameUser, parseStepUp, StepUps, type StepUp } from "./step-up.js";
import type { Tokens, TokenStorage } from "./tokens.js";

/** The timeout of a refresh, including a retry, in milliseconds. */
const refreshTimeout = 30_000;
/** The maximum wait before the retry, in milliseconds. */
const maxRetryAfter = 5_000;

/** Matches the challenge for a token that has expired or was revoked (RFC 6750, section 3.1). */
const invalidToken = /\bbearer\b.*\berror="?invalid_token\b/i;

/** Matches the hosts that need no TLS. URL has brought IP addresses into their usual form. */
const loopback = /^(localhost|127(\.\d+){3}|\[::1\])$/;

/** Sends requests with the access token of a session, and keeps its tokens fresh. */
export class Connection {
  /** Calls operations without the access token. */
  readonly anonymous;
  /** Calls operations with the access token, if there is one. */
  readonly authorized;
  readonly storage: ObservedStorage;
  readonly #origins: Set<string>;
  readonly #lock: string;
  readonly #stepUps: StepUps | undefined;
  #last: Promise<unknown> = Promise.resolve(); // the last change of the tokens
  #refreshing: Promise<Tokens | undefined> | undefined;
  #notBefore = 0; // after a failed refresh: no early refresh before this time

  constructor(
    server: string,
    origins: string[],
    storage: TokenStorage,
    onStepUp?: (required: StepUp) => void | Promise<void>,
  ) {
    this.#origins = new Set([server, ...origins].map(originOf));
    this.storage = new ObservedStorage(storage);
    this.#stepUps = onStepUp && new StepUps(onStepUp, () => this.storage.load());
    this.#lock = `sesame ${server}`;
    // Sesame sends no redirects. Following one could send a password or a refresh token to another server.
    const options = { baseUrl: server, redirect: "error" } as const;
    this.anonymous = createClient<paths>(options);
    this.authorized = createClient<paths>({ ...options, fetch: (request) => this.fetch(request) });
  }

  /** Implements Session.fetch. */
  readonly fetch = async (input: RequestInfo | URL, init?: RequestInit): Promise<Response> => {
    const request = new Request(input, init);
    if (request.headers.has("Authorization") || !this.#origins.has(new URL(request.url).origin)) {
      return fetch(request);
    }
    const { tokens, failure } = await this.#current();
    const again = request.clone();
    const response = await fetch(authorized(request, tokens));
    if (!tokens || response.status !== 401 || !this.#isFromOrigin(response)) return response;
    if (!invalidToken.test(response.headers.get("WWW-Authenticate") ?? "")) {
      return this.#afterStepUp(again, response, tokens);
    }
    if (failure) throw failure.reason;
    const fresh = await this.#refresh(tokens);
    if (!fresh || fresh.loggedInAt !== tokens.loggedInAt) return response; // do not repeat it as another user
    await response.body?.cancel();
    const third = this.#stepUps && again.clone();
    const second = await fetch(authorized(again, fresh));
    return third && this.#isFromOrigin(second) ? this.#afterStepUp(third, second, fresh) : second;
  };

  /** Calls onStepUp and sends a request again, if the response requires a more recent login. */
  async #afterStepUp(again: Request, response: Response, sent: Tokens): Promise<Response> {
    const required = parseStepUp(response);
    if (!required || !this.#stepUps) return response;
    await this.#stepUps.run(required, sent, again.signal);
    const { tokens } = await this.#current();
    if (!tokens || !isSameUser(sent, tokens)) return response;
    await response.body?.cancel();
    return fetch(authorized(again, tokens));
  }

  /** Reports whether a response is from the server or a listed origin, and not from where one redirected to. */
  #isFromOrigin({ url }: Response): boolean {
    return url !== "" && this.#origins.has(new URL(url).origin); // no URL: opaque, or not from a network
  }

  /**
   * Returns the tokens to send, refreshed if they are due. If the refresh fails, it returns the old tokens, which may
   * still work, and the failure.
   */
  async #current(): Promise<{ tokens: Tokens | undefined; failure?: { reason: unknown } }> {
    const tokens = await this.storage.load();
    if (!tokens || Date.now() < Math.max(tokens.refreshAt, this.#notBefore)) return { tokens };
    try {
      return { tokens: await this.#refresh(tokens) };
    } catch (reason) {
      return { tokens, failure: { reason } };
    }
  }

  /** Returns the tokens that replace stale, or undefined if the session has ended. Concurrent calls share a refresh. */
  #refresh(stale: Tokens): Promise<Tokens | undefined> {
    this.#refreshing ??= this.exclusively(async () => {
      const stored = await this.storage.load();
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

  /** Refreshes the tokens although they are not due, because the session has changed on the server. */
  async refreshNow(): Promise<void> {
    const tokens = await this.storage.load();
    if (tokens) await this.#refresh(tokens);
  }

  /** Exchanges and stores the tokens, or deletes them if the session has ended. The caller has the lock. */
  async #renew(stored: Tokens): Promise<Tokens | undefined> {
    const fresh = await unlessRejected(() => this.#exchange(stored.refreshToken));
    const tokens = fresh && { ...fresh, loggedInAt: stored.loggedInAt };
    await this.storage.save(tokens);
    return tokens;
  }

  /**
   * Calls operations that change or end the session, with the header of its access token. It takes the lock, so that
   * no refresh uses the old tokens at the same time, and refreshes by itself if the access token is rejected. If the
   * operation requires a more recent login, it calls onStepUp, without the lock, and the operation again.
   */
  async withLock<T>(call: (headers: HeadersInit, tokens: Tokens | undefined) => Promise<T>): Promise<T> {
    let sent: Tokens | undefined;
    try {
      return await this.#callWithLock((headers, tokens) => {
        sent = tokens;
        return call(headers, tokens);
      });
    } catch (reason) {
      if (!this.#stepUps || !sent || !(reason instanceof Problem) || !reason.stepUp) throw reason;
      const user = sent;
      await this.#stepUps.run(reason.stepUp, user);
      return this.#callWithLock((headers, tokens) => {
        if (!tokens || !isSameUser(user, tokens)) throw reason;
        return call(headers, tokens);
      });
    }
  }

  #callWithLock<T>(call: (headers: HeadersInit, tokens: Tokens | undefined) => Promise<T>): Promise<T> {
    return this.exclusively(async () => {
      const tokens = await this.storage.load();
      try {
        return await call(bearer(tokens), tokens);
      } catch (reason) {
        if (!tokens || !(reason instanceof Problem) || reason.code !== "invalid_access_token") throw reason;
        const fresh = await this.#renew(tokens);
        if (!fresh) throw reason;
        return await call(bearer(fresh), fresh);
      }
    });
  }

  /**
   * Calls an operation that returns new tokens of the session, and stores them. If it is not known whether the
   * operation succeeded, it refreshes at once: then the server returns the new tokens, but not after the grace period.
   */
  replaceTokens(operation: (headers: HeadersInit) => Promise<Result<components["schemas"]["Tokens"]>>): Promise<void> {
    return this.withLock(async (headers, tokens) => {
      try {
        const fresh = await requestTokens(() => operation(headers));
        await this.storage.save({ ...fresh, loggedInAt: tokens?.loggedInAt ?? Date.now() });
      } catch (reason) {
        const isKnown = reason instanceof Problem && reason.code !== undefined && reason.code !== "internal_error";
        if (tokens && !isKnown) await this.#renew(tokens).catch(() => undefined);
        throw reason;
      }
    });
  }

  /** Calls an operation that starts a session, and stores its tokens. */
  startSession(operation: () => Promise<Result<components["schemas"]["Tokens"]>>): Promise<void> {
    return this.exclusively(async () => {
      const tokens = await requestTokens(operation);
      await this.storage.save({ ...tokens, loggedInAt: Date.now() });
    });
  }

  /** Calls an operation that ends the session, and deletes its tokens. */
  endSession(operation: (headers: HeadersInit) => Promise<Result<unknown>>): Promise<void> {
    return this.withLock(async (headers) => {
      await unwrap(operation(headers));
      await this.storage.save(undefined);
    });
  }

  /**
   * Exchanges a refresh token for new tokens. It retries once if the server is unavailable. Repeating the request is
   * safe: within the grace period, the server returns the same new tokens again.
   */
  async #exchange(refreshToken: string): Promise<NewTokens> {
    const options = { body: { refreshToken }, signal: AbortSignal.timeout(refreshTimeout) };
    const exchange = () => requestTokens(() => this.anonymous.POST("/auth/refresh-tokens", options));
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
  exclusively<T>(change: () => Promise<T>): Promise<T> {
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
  for (const [name, value] of Object.entries(bearer(tokens))) request.headers.set(name, value);
  return request;
}

/** Returns the header that contains the access token. */
function bearer(tokens: Tokens | undefined): Record<string, string> {
  return tokens ? { Authorization: `Bearer ${tokens.accessToken}` } : {};
}
