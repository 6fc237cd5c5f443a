import { Problem } from "@sesame-auth/client";

/**
 * What to tell a person. The compiler holds the list complete: a code that the contract gets and this does not say is
 * an error where `never` stands.
 */
export function words(problem: Problem): string {
  switch (problem.code) {
    case "validation_failed":
      return problem.errors.map((fault) => `${fault.pointer ?? fault.parameter}: ${fault.message}`).join("\n");
    case "weak_password":
      return problem.detail; // says which rule
    case "email_taken":
      return "There is an account with this address. Log in, or reset its password.";
    case "invalid_credentials":
      return "The address or the password is wrong.";
    case "invalid_access_token":
    case "invalid_refresh_token":
      return "Please log in again.";
    case "invalid_reset_token":
      return "This link does not work any more. Ask for a new one.";
    case "too_many_requests":
      return `Too many attempts. Try again in ${Math.ceil((problem.retryAfter ?? 60) / 60)} minutes.`;
    case "unavailable":
      return "The server is busy. Try again in a moment.";
    case "malformed_body":
    case "content_too_large":
    case "unsupported_media_type":
    case "not_found":
    case "method_not_allowed":
    case "internal_error":
    case undefined: // not Sesame's answer
      return `This did not work (${problem.instance ?? problem.status}).`;
    default:
      return problem.code satisfies never;
  }
}
