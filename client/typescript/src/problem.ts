import type { FactorType, ProblemCode, WeakPasswordReason } from "./codes.js";
import type { components } from "./openapi.js";
import { parseStepUp, type StepUp } from "./step-up.js";

/** One error in a request. Its detail can be shown to the user. */
export type ValidationError = components["schemas"]["ValidationError"];

/** An error response of the server (RFC 9457). */
export class Problem extends Error {
  override readonly name = "Problem";
  /** The HTTP status code. */
  readonly status: number;
  /**
   * The type of the problem. New codes may be added at any time: handle unknown ones by `status`. Undefined if the
   * response is not a problem document, for example because it is from a proxy.
   */
  readonly code: ProblemCode | undefined;
  /** A sentence that can be shown to the user. */
  readonly detail: string;
  /** All errors in the request if the code is `validation_failed`. */
  readonly errors: ValidationError[];
  /** Why the password was rejected if the code is `weak_password`. */
  readonly reason: WeakPasswordReason | undefined;
  /** Continues the login if the code is `second_factor_required`: see `Session.completeLogin`. */
  readonly loginToken: string | undefined;
  /** Where a code can come from if the code is `second_factor_required`. */
  readonly factors: FactorType[];
  /** What the server requires if the code is `insufficient_user_authentication`. */
  readonly stepUp: StepUp | undefined;
  /** The id of the request, as in the server's log. */
  readonly instance: string | undefined;
  /** How many seconds to wait before the next attempt. Undefined if the server did not say. */
  readonly retryAfter: number | undefined;

  constructor(response: Response, body: unknown) {
    const problem = isProblem(response, body) ? body : undefined;
    super(problem ? `${problem.code}: ${problem.detail}` : `status ${response.status} without a problem document`);
    this.status = response.status;
    this.code = problem?.code;
    this.detail = problem?.detail ?? "";
    this.errors = problem?.errors ?? [];
    this.reason = problem?.reason;
    this.loginToken = problem?.loginToken;
    this.factors = problem?.factors ?? [];
    const isOld = problem?.code === "insufficient_user_authentication";
    this.stepUp = isOld ? (parseStepUp(response) ?? { maxAge: undefined, acr: undefined }) : undefined;
    this.instance = problem?.instance;
    const seconds = response.headers.get("Retry-After") ?? "";
    this.retryAfter = /^\d+$/.test(seconds) ? Number(seconds) : undefined;
  }
}

function isProblem(response: Response, body: unknown): body is components["schemas"]["Problem"] {
  const declared = response.headers.get("Content-Type")?.startsWith("application/problem+json") ?? false;
  return declared && typeof body === "object" && body !== null && "code" in body;
}
