import type { components } from "./openapi.js";
import { Problem } from "./problem.js";
import type { Tokens } from "./tokens.js";

type Schemas = components["schemas"];

/** The result of a call of openapi-fetch. */
export interface Result<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/** Returns the body of a response. Throws a Problem if it is not a success. */
export async function unwrap<T>(call: Promise<Result<T>>): Promise<T> {
  const { data, error, response } = await call;
  if (!response.ok || data === undefined) throw new Problem(response, error);
  return data;
}

/** The tokens of a response. The caller knows when the session started. */
export type NewTokens = Omit<Tokens, "loggedInAt">;

/** Calls an operation that returns tokens, and schedules their refresh. */
export async function requestTokens(operation: () => Promise<Result<Schemas["Tokens"]>>): Promise<NewTokens> {
  const started = Date.now();
  const { accessToken, refreshToken, expiresIn } = await unwrap(operation());
  const delay = expiresIn * 900; // nine tenths of the lifetime, in milliseconds
  return { accessToken, refreshToken, refreshAt: started + delay };
}

/** Returns the result of a call, or undefined if the server rejected the refresh token. */
export async function unlessRejected<T>(call: () => Promise<T>): Promise<T | undefined> {
  try {
    return await call();
  } catch (reason) {
    if (reason instanceof Problem && reason.code === "invalid_refresh_token") return undefined;
    throw reason;
  }
}
