import type { Tokens } from "./tokens.js";

/** What the server or a service requires before it accepts a request of a logged-in user (RFC 9470). */
export interface StepUp {
  /** How many seconds ago the login may be. Undefined if the challenge does not say. */
  maxAge: number | undefined;
  /** The required value of the claim acr, such as `aal2` for two factors. Undefined if the challenge does not say. */
  acr: string | undefined;
}

/** Calls onStepUp of a session. Concurrent requests with the same challenge share a call. */
export class StepUps {
  readonly #onStepUp: (required: StepUp) => void | Promise<void>;
  readonly #load: () => Promise<Tokens | undefined>;
  readonly #running = new Map<string, Promise<void>>();

  constructor(onStepUp: (required: StepUp) => void | Promise<void>, load: () => Promise<Tokens | undefined>) {
    this.#onStepUp = onStepUp;
    this.#load = load;
  }

  /**
   * Calls onStepUp after a request with the tokens sent was refused. Throws the error of onStepUp, or the reason of the
   * signal, which stops the waiting only.
   */
  run(required: StepUp, sent: Tokens, signal?: AbortSignal): Promise<void> {
    const key = `${required.maxAge} ${required.acr}`;
    let running = this.#running.get(key);
    if (!running) {
      running = this.#call(required, sent).finally(() => this.#running.delete(key));
      this.#running.set(key, running);
    }
    return signal ? abortable(running, signal) : running;
  }

  async #call(required: StepUp, sent: Tokens): Promise<void> {
    const stored = await this.#load();
    if (!stored || !fulfills(stored, sent, required)) await this.#onStepUp(required);
  }
}

/** Returns the challenge of a response for a more recent login or for two factors, or undefined if there is none. */
export function parseStepUp({ status, headers }: Response): StepUp | undefined {
  const challenge = headers.get("WWW-Authenticate") ?? "";
  if (status !== 401 || !/\bbearer\b.*\berror="?insufficient_user_authentication\b/i.test(challenge)) return undefined;
  const maxAge = /\bmax_age="?(\d+)/i.exec(challenge)?.[1];
  return {
    maxAge: maxAge === undefined ? undefined : Number(maxAge),
    acr: /\bacr_values="?([^\s",]+)/i.exec(challenge)?.[1], // the first one is preferred
  };
}

/** Reports whether tokens are of the user of others. A request must not be sent again as another user. */
export function isSameUser(a: Tokens, b: Tokens): boolean {
  const { sub } = claimsOf(a);
  return sub !== undefined && sub === claimsOf(b).sub;
}

/** Reports whether the stored tokens fulfill a requirement that the sent ones did not, because another tab asked. */
function fulfills(stored: Tokens, sent: Tokens, { maxAge, acr }: StepUp): boolean {
  if (stored.accessToken === sent.accessToken) return false;
  const now = claimsOf(stored);
  if (acr !== undefined && now.acr !== acr) return false;
  return (now.auth_time ?? 0) > (claimsOf(sent).auth_time ?? 0) || (acr !== undefined && maxAge === undefined);
}

/** Returns the claims of an access token, or none if it is not readable. It is trusted, as it is from the server. */
function claimsOf({ accessToken }: Tokens): { sub?: string; auth_time?: number; acr?: string } {
  try {
    const payload = accessToken.split(".")[1] ?? "";
    return JSON.parse(atob(payload.replaceAll("-", "+").replaceAll("_", "/"))) as ReturnType<typeof claimsOf>;
  } catch {
    return {};
  }
}

/** Returns the result of a promise, or throws the reason of the signal if it is aborted first. */
function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason as Error);
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort);
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}
