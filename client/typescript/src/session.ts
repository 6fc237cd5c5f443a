import createClient from "openapi-fetch";
import type { components, paths } from "./openapi.js";
import { Problem } from "./problem.js";
import { memory, type Tokens, type TokenStorage } from "./tokens.js";

type Schemas = components["schemas"];

export interface SessionOptions {
  /** The URL of the server, such as https://auth.example.com */
  server: string;
  /** Origins of services that get the access token too, such as https://api.example.com */
  origins?: string[];
  /** Keeps the tokens; in memory, unless given */
  storage?: TokenStorage;
}

/** How long a refresh may take with its second try, and how long that waits at most, in milliseconds */
const refreshTimeout = 30_000;
const maxRetryAfter = 5_000;

/** The challenge to a token that is expired, or whose session is over (RFC 6750, section 3.1) */
const invalidToken = /\bbearer\b.*\berror="?invalid_token\b/i;

/**
 * One user's session. What the server refuses is thrown as a Problem, what does not reach it as fetch throws it.
 *
 * `fetch` sends the access token along. Any client that takes a fetch can use it, openapi-fetch for one.
 */
export class Session {
  readonly #origins: Set<string>;
  readonly #storage: TokenStorage;
  readonly #lock: string;
  readonly #anonymous;
  readonly #authorized;
  #last: Promise<unknown> = Promise.resolve(); // of those who change the tokens
  #refreshing: Promise<Tokens | undefined> | undefined;
  #notBefore = 0; // of the next refresh ahead of expiry

  constructor({ server, origins = [], storage = memory() }: SessionOptions) {
    this.#origins = new Set([server, ...origins].map((url) => new URL(url).origin));
    this.#storage = storage;
    this.#lock = `sesame ${server}`;
    // The server answers with no redirects; passwords and refresh tokens would go along.
    this.#anonymous = createClient<paths>({ baseUrl: server, redirect: "error" });
    this.#authorized = createClient<paths>({ baseUrl: server, redirect: "error", fetch: (request) => this.fetch(request) });
  }

  /** Makes an account. It logs nobody in. */
  async register(input: Schemas["RegisterInput"]): Promise<Schemas["User"]> {
    return (await answer(this.#anonymous.POST("/auth/register", { body: input }))).user;
  }

  /** Opens a session in place of the one there is, which it does not end. */
  async login(email: string, password: string): Promise<void> {
    await this.#exclusively(async () => {
      await this.#storage.save(await ask(() => this.#anonymous.POST("/auth/login", { body: { email, password } })));
    });
  }

  /** Ends the session and forgets the tokens. After an error the session is as it was. */
  async logout(): Promise<void> {
    await this.#exclusively(async () => {
      const tokens = await this.#storage.load();
      if (!tokens) return;
      const body = { refreshToken: tokens.refreshToken };
      await unlessRefused(() => answer(this.#anonymous.POST("/auth/logout", { body })));
      await this.#storage.save(undefined);
    });
  }

  /** Whose session it is, as the server knows it now; a session that ended elsewhere is an invalid_access_token. */
  async authenticate(): Promise<Schemas["User"]> {
    const { user } = await answer(this.#authorized.POST("/auth"));
    if (!user) throw new Error("the server names no user");
    return user;
  }

  /** Has a link mailed that resets the password, if the address has an account. */
  async forgotPassword(email: string): Promise<void> {
    await answer(this.#anonymous.POST("/auth/forgot-password", { body: { email } }));
  }

  /** Sets a new password with the token of the mailed link, and ends every session of the account. */
  async resetPassword(token: string, password: string): Promise<void> {
    await answer(this.#anonymous.POST("/auth/reset-password", { params: { query: { token } }, body: { password } }));
  }

  /**
   * fetch with the access token, if the request goes to the server or a listed origin. The browser takes the token
   * away from a redirect to another origin (Fetch Standard, section 4.4).
   *
   * Tokens are refreshed when nine tenths of the access token's life are over, or when the answer is a 401 with
   * error="invalid_token"; then the request is sent again, so its body is kept in memory. A refusal of the
   * refresh ends the session, and the 401 is the caller's; any other failure is thrown, and the session is as it was.
   */
  readonly fetch = async (input: RequestInfo | URL, init?: RequestInit): Promise<Response> => {
    const request = new Request(input, init);
    if (request.headers.has("Authorization") || !this.#origins.has(new URL(request.url).origin)) {
      return fetch(request);
    }
    const { tokens, failure } = await this.#current();
    const again = request.clone();
    const response = await fetch(authorized(request, tokens));
    const asked = this.#origins.has(new URL(response.url).origin); // and not who it was redirected to
    const challenged = invalidToken.test(response.headers.get("WWW-Authenticate") ?? "");
    if (!tokens || !asked || response.status !== 401 || !challenged) return response;
    if (failure) throw failure.reason;
    const fresh = await this.#refresh(tokens);
    if (!fresh) return response;
    await response.body?.cancel();
    return fetch(authorized(again, fresh));
  };

  /** The tokens to send, refreshed if it is time. Where that fails, they may still do: a tenth of their life is left. */
  async #current(): Promise<{ tokens: Tokens | undefined; failure?: { reason: unknown } }> {
    const tokens = await this.#storage.load();
    if (!tokens || Date.now() < Math.max(tokens.refreshAt, this.#notBefore)) return { tokens };
    try {
      return { tokens: await this.#refresh(tokens) };
    } catch (reason) {
      return { tokens, failure: { reason } };
    }
  }

  /** The successors of tokens found stale, undefined if the session is over. All who call meanwhile share one. */
  #refresh(stale: Tokens): Promise<Tokens | undefined> {
    this.#refreshing ??= this.#exclusively(async () => {
      const stored = await this.#storage.load();
      if (stored?.accessToken !== stale.accessToken) return stored; // another tab was faster
      const fresh = await unlessRefused(() => this.#trade(stored.refreshToken));
      await this.#storage.save(fresh);
      return fresh;
    })
      .catch((reason: unknown) => {
        this.#notBefore = Date.now() + maxRetryAfter; // until then requests go out with what they have, without waiting
        throw reason;
      })
      .finally(() => {
        this.#refreshing = undefined;
      });
    return this.#refreshing;
  }

  /** Retries once if the server was unreachable: within the grace period it returns the same tokens again. */
  async #trade(refreshToken: string): Promise<Tokens> {
    const signal = AbortSignal.timeout(refreshTimeout);
    const trade = () => ask(() => this.#anonymous.POST("/auth/refresh-tokens", { body: { refreshToken }, signal }));
    try {
      return await trade();
    } catch (reason) {
      const wait = reason instanceof Problem ? (reason.retryAfter ?? 0) * 1000 : 0;
      if (wait > maxRetryAfter || (reason instanceof Problem && reason.status !== 503)) throw reason;
      await new Promise((resolve) => setTimeout(resolve, wait));
      return await trade();
    }
  }

  /** One at a time changes the tokens: of this session, and by Web Locks of all tabs, where there are such. */
  #exclusively<T>(change: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(() => {
      const locks = (globalThis.navigator as Navigator | undefined)?.locks as LockManager | undefined;
      return locks ? (locks.request(this.#lock, change) as Promise<T>) : change();
    });
    this.#last = turn.catch(() => undefined);
    return turn;
  }
}

function authorized(request: Request, tokens: Tokens | undefined): Request {
  if (tokens) request.headers.set("Authorization", `Bearer ${tokens.accessToken}`);
  return request;
}

/** What openapi-fetch makes of an answer */
interface Answer<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

async function answer<T>(call: Promise<Answer<T>>): Promise<T> {
  const { data, error, response } = await call;
  if (!response.ok || data === undefined) throw new Problem(response, error);
  return data;
}

async function ask(operation: () => Promise<Answer<Schemas["Tokens"]>>): Promise<Tokens> {
  const asked = Date.now();
  const { accessToken, refreshToken, expiresIn } = await answer(operation());
  return { accessToken, refreshToken, refreshAt: asked + expiresIn * 900 };
}

/** undefined: the server says that the refresh token is worth nothing. */
async function unlessRefused<T>(call: () => Promise<T>): Promise<T | undefined> {
  try {
    return await call();
  } catch (reason) {
    if (reason instanceof Problem && reason.code === "invalid_refresh_token") return undefined;
    throw reason;
  }
}
