import type { components, Session } from "@sesame-auth/client";
import { byID, clone, find, inWords, onSubmit, run, setText } from "./page.js";
import { readClaims } from "./tokens.js";

/** Shows the claims of the access token. */
export function showClaims(): void {
  const claims = readClaims();
  if (!claims) return;
  setText("claim-amr", claims.amr.join(", "));
  setText("claim-acr", claims.acr);
  setText("claim-auth-time", `${claims.auth_time} (${inWords(claims.auth_time * 1000)})`);
}

/** Shows the user who is logged in. */
export async function loadAccount(session: Session): Promise<void> {
  const { name, email, emailVerified } = await session.account();
  setText("account-name", name);
  setText("account-email", email);
  setText("account-verified", emailVerified ? "yes" : "no");
  byID("verify").hidden = emailVerified;
}

/** Shows the sessions of the user. */
export async function loadSessions(session: Session): Promise<void> {
  const sessions = await session.sessions();
  byID("sessions").replaceChildren(...sessions.map((one) => entryOf(session, one)));
}

/** Returns the entry of a session in the list. */
function entryOf(session: Session, one: components["schemas"]["Session"]): HTMLElement {
  const entry = clone("session");
  const revoke = find<HTMLButtonElement>(entry, ".revoke");
  find(entry, ".name").textContent = (one.current ? "This session: " : "") + one.userAgent;
  const started = inWords(one.createdAt);
  find(entry, ".quiet").textContent = `${one.ip}, started ${started}, last used ${inWords(one.lastUsedAt)}`;
  revoke.ariaLabel = one.current ? "Revoke this session" : `Revoke the session of ${started}`;
  revoke.addEventListener("click", () => {
    void run(revoke, byID("sessions-error"), async () => {
      await session.revokeSession(one.id);
      if (one.current) return;
      await loadSessions(session);
      setText("sessions-status", "The session is revoked.");
      byID("sessions-title").focus();
    });
  });
  return entry;
}

/** Prepares the section of the account. */
export function prepareAccount(session: Session): void {
  onSubmit("log-out", () => session.logout());
  onSubmit("verify", async () => {
    setText("verify-status", "");
    await session.sendVerificationEmail(byID("account-email").textContent ?? "");
    setText("verify-status", "We have sent you a link.");
  });
}
