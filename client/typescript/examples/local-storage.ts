import type { Tokens, TokenStorage } from "@sesame-auth/client";

/**
 * Keeps the tokens in the browser's localStorage, so that a session lasts longer than the page and is shared by all
 * tabs.
 *
 * The risk: any script on the page, also an injected one, can steal the refresh token and use it elsewhere, until the
 * session expires or is revoked. (It is revoked when both the page and the thief have used the token.) With tokens in
 * memory, such a script can only act while the page is open. Use localStorage only with a Content-Security-Policy that
 * blocks foreign scripts.
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
    subscribe: (changed) => {
      const onStorage = (event: StorageEvent) => {
        const isOurs = event.key === key || event.key === null; // null: everything was deleted
        if (event.storageArea === localStorage && isOurs) changed();
      };
      window.addEventListener("storage", onStorage);
      return () => window.removeEventListener("storage", onStorage);
    },
  };
}
