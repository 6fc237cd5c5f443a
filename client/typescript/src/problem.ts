import type { components } from "./openapi.js";

export type ProblemCode = components["schemas"]["ProblemCode"];
export type Fault = components["schemas"]["Fault"];

/** An answer that is no success (RFC 9457). */
export class Problem extends Error {
  override readonly name = "Problem";
  readonly status: number;
  /** undefined: the answer is not Sesame's, but of a proxy before it */
  readonly code: ProblemCode | undefined;
  /** A sentence for people */
  readonly detail: string;
  /** Of a request that is not valid, each fault */
  readonly errors: Fault[];
  /** The id of the request in the server's log */
  readonly instance: string | undefined;
  /** Seconds to wait before the next try */
  readonly retryAfter: number | undefined;

  constructor(response: Response, body: unknown) {
    const problem = isProblem(response, body) ? body : undefined;
    super(problem ? `${problem.code}: ${problem.detail}` : `status ${response.status} without a problem document`);
    this.status = response.status;
    this.code = problem?.code;
    this.detail = problem?.detail ?? "";
    this.errors = problem?.errors ?? [];
    this.instance = problem?.instance;
    const seconds = response.headers.get("Retry-After") ?? "";
    this.retryAfter = /^\d+$/.test(seconds) ? Number(seconds) : undefined;
  }
}

function isProblem(response: Response, body: unknown): body is components["schemas"]["Problem"] {
  const declared = response.headers.get("Content-Type")?.startsWith("application/problem+json") ?? false;
  return declared && typeof body === "object" && body !== null && "code" in body;
}
