import type { Session } from "@sesame-auth/client";
import { byID, inWords, onClick, onSubmit, setText } from "./page.js";
import { qrCode } from "./qr.js";

const parts = ["enroll", "confirm", "codes", "app"] as const;
const code = byID<HTMLInputElement>("confirm-code");

/** Shows one part of the section. */
function show(part: (typeof parts)[number]): void {
  for (const other of parts) byID(other).hidden = other !== part;
}

/** Shows whether the account has an authenticator app. */
export async function loadApp(session: Session): Promise<void> {
  const { factors, recoveryCodesLeft } = await session.factors();
  const app = factors.find(({ type }) => type === "totp");
  setText("codes-left", String(recoveryCodesLeft));
  if (app) {
    const created = byID<HTMLTimeElement>("app-created");
    created.dateTime = app.createdAt;
    created.textContent = inWords(app.createdAt);
  }
  show(app ? "app" : "enroll");
}

/** Shows the recovery codes until the user has kept them. */
function showCodes(codes: string[]): void {
  setText("app-status", "");
  setText("recovery-codes", codes.join("\n"));
  show("codes");
  byID("codes-title").focus();
}

/** Shows the section again, after a change, with what has happened. */
async function finish(session: Session, status: string): Promise<void> {
  await loadApp(session);
  setText("app-status", status);
  byID("app-title").focus();
}

/** Prepares the section. */
export function prepareApp(session: Session): void {
  onSubmit("enroll", async () => {
    const { secret, uri } = await session.enrollTOTP();
    byID("qr").replaceChildren(qrCode(uri, "QR code with the secret"));
    setText("secret", secret);
    byID<HTMLAnchorElement>("secret-link").href = uri;
    code.value = "";
    setText("app-status", "");
    setText("confirm-error", "");
    show("confirm");
    code.focus();
  });
  onSubmit("confirm", async () => showCodes(await session.confirmTOTP(code.value.trim())));
  onSubmit("renew", async () => showCodes(await session.renewRecoveryCodes()));
  onSubmit("remove-app", async () => {
    await session.removeTOTP();
    await finish(session, "The app is removed. A login needs only your password.");
  });
  onClick("cancel-enroll", () => void finish(session, ""));
  onClick("codes-kept", () => {
    setText("recovery-codes", "");
    void finish(session, "");
  });
}
