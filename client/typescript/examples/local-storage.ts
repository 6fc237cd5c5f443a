import type { Tokens, TokenStorage } from "@sesame-auth/client";

/**
 * Keeps the tokens in the browser's localStorage: a session outlives the page and is shared by all tabs. The price: any
 * script that runs on the page, an injected one too, can carry the refresh token away and use it elsewhere, until the
 * session ends or the two of them meet, which ends it. In memory, such a script can act only while the page is open.
 * Use it with a Content-Security-Policy that lets no foreign script run, or not at all.
 */
export function localStorageTokens(key = "sesame"): TokenStorage {
  return {
    load: () => {
      const stored = localStorage.getItem(key);
      return stored === null ? undefined : (JSON.parse(stored) as Tokens);
    },
    save: (tokens) => {
      if (tokens) localStorage.setItem(key, JSON.stringify(tokens));
      else localStorage.removeItem(key);
    },
  };
}
