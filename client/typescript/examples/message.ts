import { Problem } from "@sesame-auth/client";

/** Returns a message for the user. New codes may be added at any time: the default case shows their detail. */
export function messageFor(problem: Problem): string {
  switch (problem.code) {
    case "validation_failed":
      return problem.errors.map((error) => `${error.pointer ?? error.parameter}: ${error.detail}`).join("\n");
    case "email_taken":
      return "There is an account with this email. Log in, or reset the password.";
    case "invalid_access_token":
    case "invalid_refresh_token":
      return "Please log in again.";
    case "invalid_link":
      return "This link does not work any more. Request a new one.";
    case "too_many_requests":
      return `Too many attempts. Try again in ${Math.ceil((problem.retryAfter ?? 60) / 60)} minutes.`;
    default: // also a response that is not from Sesame, which has no code
      return problem.detail || `Something went wrong (status ${problem.status}).`;
  }
}
