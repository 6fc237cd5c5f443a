/** What a session goes on with. It is as good as a password. */
export interface Tokens {
  accessToken: string;
  refreshToken: string;
  /** When to refresh, shortly before the access token expires: milliseconds, as of Date.now() */
  refreshAt: number;
}

/**
 * Keeps the tokens of one session. Where several tabs share it, they take turns by Web Locks, and each looks at what
 * is stored before it refreshes: a refresh token works once.
 */
export interface TokenStorage {
  /** The tokens; undefined: there is no session */
  load(): Tokens | undefined | Promise<Tokens | undefined>;
  /** Stores the tokens; undefined: forgets them */
  save(tokens: Tokens | undefined): void | Promise<void>;
}

/** A storage that ends with the page or the process. */
export function memory(): TokenStorage {
  let tokens: Tokens | undefined;
  return {
    load: () => tokens,
    save: (next) => {
      tokens = next;
    },
  };
}
