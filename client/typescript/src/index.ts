export { problemCodes, validationCodes, weakPasswordReasons } from "./codes.js";
export type { ProblemCode, ValidationCode, WeakPasswordReason } from "./codes.js";
export type { components, operations, paths } from "./openapi.js";
export { Problem } from "./problem.js";
export type { ValidationError } from "./problem.js";
export { Session } from "./session.js";
export type { SessionOptions } from "./session.js";
export { memoryStorage } from "./tokens.js";
export type { Tokens, TokenStorage } from "./tokens.js";
