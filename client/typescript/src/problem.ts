import type { ProblemCode, WeakPasswordReason } from "./codes.js";
import type { components } from "./openapi.js";

export type ValidationError = components["schemas"]["ValidationError"];

/** An error response (RFC 9457). */
export class Problem extends Error {
  override readonly name = "Problem";
  readonly status: number;
  /** For programs. Handle codes that you do not know by `status`. Undefined if the response is not from Sesame, but for
   * example from a proxy. */
  readonly code: ProblemCode | undefined;
  /** A sentence for people. */
  readonly detail: string;
  /** With the code `validation_failed`, every error of the request. */
  readonly errors: ValidationError[];
  /** With the code `weak_password`, why the password was rejected. */
  readonly reason: WeakPasswordReason | undefined;
  /** The id of the request in the log of the server. */
  readonly instance: string | undefined;
  /** The number of seconds to wait before the next attempt. */
  readonly retryAfter: number | undefined;

  constructor(response: Response, body: unknown) {
    const problem = isProblem(response, body) ? body : undefined;
    super(problem ? `${problem.code}: ${problem.detail}` : `status ${response.status} without a problem document`);
    this.status = response.status;
    this.code = problem?.code;
    this.detail = problem?.detail ?? "";
    this.errors = problem?.errors ?? [];
    this.reason = problem?.reason;
    this.instance = problem?.instance;
    const seconds = response.headers.get("Retry-After") ?? "";
    this.retryAfter = /^\d+$/.test(seconds) ? Number(seconds) : undefined;
  }
}

function isProblem(response: Response, body: unknown): body is components["schemas"]["Problem"] {
  const declared = response.headers.get("Content-Type")?.startsWith("application/problem+json") ?? false;
  return declared && typeof body === "object" && body !== null && "code" in body;
}
