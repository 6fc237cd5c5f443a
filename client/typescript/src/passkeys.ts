import type { components } from "./openapi.js";

type Schemas = components["schemas"];

/** Options of `Session.loginWithPasskey`. */
export interface PasskeyLoginOptions {
  /** `conditional` offers the passkeys in the autofill of a field with `autocomplete="username webauthn"`. */
  mediation?: CredentialMediationRequirement;
  /** Cancels the login. */
  signal?: AbortSignal;
}

/** The part of the validity of options after which new ones are requested. */
const renewAfter = 0.8;

/** Throws a DOMException with the name NotSupportedError if the browser lacks what this module uses. */
export async function requirePasskeys(mediation?: CredentialMediationRequirement): Promise<void> {
  const browser = globalThis as { PublicKeyCredential?: Partial<typeof PublicKeyCredential>; navigator?: Navigator };
  const type = browser.PublicKeyCredential;
  const credentials = browser.navigator?.credentials as CredentialsContainer | undefined;
  const isComplete = type?.parseCreationOptionsFromJSON && type.parseRequestOptionsFromJSON && type.prototype?.toJSON;
  if (!isComplete || !credentials) {
    throw new DOMException("This browser does not support passkeys, or the page is not on https.", "NotSupportedError");
  }
  if (mediation === "conditional" && !(await type.isConditionalMediationAvailable?.())) {
    throw new DOMException("This browser does not support passkeys in autofill.", "NotSupportedError");
  }
}

/** Lets the browser create a passkey. */
export async function createPasskey(
  options: Schemas["PasskeyCreationOptions"],
  signal?: AbortSignal,
): Promise<Schemas["PasskeyRegistration"]> {
  const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(options as PublicKeyCredentialCreationOptionsJSON);
  return toJSON(await navigator.credentials.create({ publicKey, ...(signal && { signal }) }));
}

/**
 * Lets the user choose a passkey. With autofill, which can take longer than the options are valid, it returns undefined
 * before they expire.
 */
export async function choosePasskey(
  options: Schemas["PasskeyRequestOptions"],
  { mediation, signal }: PasskeyLoginOptions,
): Promise<Schemas["PasskeyAssertion"] | undefined> {
  signal?.throwIfAborted();
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options);
  const stop = new AbortController();
  const abort = () => stop.abort(signal?.reason);
  signal?.addEventListener("abort", abort);
  let expired = false;
  const expire = () => {
    expired = true;
    stop.abort();
  };
  const timer = mediation === "conditional" ? setTimeout(expire, options.timeout * renewAfter) : undefined;
  try {
    const request = { publicKey, signal: stop.signal, ...(mediation && { mediation }) };
    return toJSON(await navigator.credentials.get(request));
  } catch (reason) {
    if (expired && !signal?.aborted) return undefined;
    throw reason;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", abort);
  }
}

function toJSON<T>(credential: Credential | null): T {
  if (!credential) throw new DOMException("There is no passkey.", "NotAllowedError");
  return (credential as PublicKeyCredential).toJSON() as T;
}
