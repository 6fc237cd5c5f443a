import type { Tokens, TokenStorage } from "@sesame-auth/client";

const key = "sesame";

/** The claims of an access token that the page uses. */
export interface Claims {
  sub: string;
  amr: string[];
  acr: string;
  auth_time: number;
}

/**
 * Keeps the tokens in sessionStorage, so that a login survives a reload and ends with the tab. Every script on the page
 * can read them there; the content security policy allows only the server's own.
 */
export const sessionTokens: TokenStorage = {
  load: read,
  save: (tokens) => {
    if (tokens) sessionStorage.setItem(key, JSON.stringify(tokens));
    else sessionStorage.removeItem(key);
  },
};

function read(): Tokens | undefined {
  const stored = sessionStorage.getItem(key);
  return stored === null ? undefined : (JSON.parse(stored) as Tokens);
}

/** Returns the claims of the access token, or undefined if nobody is logged in. */
export function readClaims(): Claims | undefined {
  const payload = read()?.accessToken.split(".")[1];
  if (payload === undefined) return undefined;
  return JSON.parse(atob(payload.replaceAll("-", "+").replaceAll("_", "/"))) as Claims;
}
