import type { Session, StepUp } from "@sesame-auth/client";
import { byID, onClick, onSubmit, run, setText } from "./page.js";
import { canUsePasskeys } from "./passkeys.js";

const dialog = byID<HTMLDialogElement>("step-up");
const password = byID<HTMLInputElement>("step-up-password");
const code = byID<HTMLInputElement>("step-up-code");
const passkey = byID("step-up-passkey");

let confirmed = false;

/**
 * Opens the dialog in which the user proves the identity again. Returns when that has succeeded, and throws if the user
 * closes the dialog. The client calls it for a request that needs a more recent login, and then repeats the request.
 */
export async function confirmIdentity(session: Session, { maxAge, acr }: StepUp): Promise<void> {
  const [{ factors }, passkeys] = await Promise.all([session.factors(), session.passkeys()]);
  byID("step-up-second").hidden = factors.length === 0;
  passkey.hidden = passkeys.length === 0 || !canUsePasskeys;
  const login = maxAge === undefined ? "a more recent login" : `a login within the last ${Math.ceil(maxAge / 60)} minutes`;
  setText("step-up-reason", `This needs ${login}${acr === undefined ? "" : `, with the acr ${acr}`}.`);
  setText("reauthenticate-error", "");
  confirmed = false;
  dialog.showModal();
  await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
  password.value = code.value = "";
  if (!confirmed) throw new DOMException("Canceled: you did not confirm your identity.", "AbortError");
}

function close(): void {
  confirmed = true;
  dialog.close();
}

/** Prepares the dialog. */
export function prepareStepUp(session: Session): void {
  onSubmit("reauthenticate", async () => {
    await session.reauthenticate({ password: password.value, ...(code.value && { code: code.value.trim() }) });
    close();
  });
  passkey.addEventListener("click", () => {
    void run(passkey, byID("reauthenticate-error"), async () => {
      await session.loginWithPasskey(); // this starts a new session, which replaces the old one
      close();
    });
  });
  onClick("step-up-cancel", () => dialog.close());
}

