/** The tokens of a session. Store them as securely as a password. */
export interface Tokens {
  accessToken: string;
  refreshToken: string;
  /** When to refresh the tokens, shortly before the access token expires. In milliseconds, like Date.now(). */
  refreshAt: number;
  /** When the session started, in milliseconds. A refresh keeps it, so it identifies the session. */
  loggedInAt: number;
}

/**
 * Stores the tokens of one session. Several tabs can share it: they coordinate with Web Locks, and each checks for new
 * tokens before it refreshes, because a refresh token can be used only once.
 */
export interface TokenStorage {
  /** Returns the tokens, or undefined if there is no session. */
  load(): Tokens | undefined | Promise<Tokens | undefined>;
  /** Stores the tokens. Undefined deletes them. */
  save(tokens: Tokens | undefined): void | Promise<void>;
  /**
   * Calls the function after each change by another tab, until the returned function is called. Needed only if tabs
   * share the storage and the application uses `Session.onChange`.
   */
  subscribe?(changed: () => void): () => void;
}

/** Returns a storage in memory. The session is lost when the page is closed or the process ends. */
export function memoryStorage(): TokenStorage {
  let tokens: Tokens | undefined;
  return {
    load: () => tokens,
    save: (next) => {
      tokens = next;
    },
  };
}
