// The script of the page /try of the server.
import { Session } from "@sesame-auth/client";
import { loadAccount, loadSessions, prepareAccount, showClaims } from "./account.js";
import { loadApp, prepareApp } from "./app.js";
import { endOffer, prepareLogIn, showLogIn } from "./login.js";
import { byID, messageOf, setText } from "./page.js";
import { loadPasskeys, preparePasskeys } from "./passkeys.js";
import { confirmIdentity, prepareStepUp } from "./step-up.js";
import { readClaims, sessionTokens } from "./tokens.js";
import { show } from "./views.js";

const session: Session = new Session({
  server: new URL(".", location.href).href,
  storage: sessionTokens,
  onStepUp: (required) => confirmIdentity(session, required),
});

let user: string | undefined; // whose account is shown

/** Shows the account, if nobody logs out meanwhile. */
async function showAccount(): Promise<void> {
  user = readClaims()?.sub;
  setText("page-error", "");
  for (const id of ["app-status", "passkeys-status", "sessions-status", "verify-status"]) setText(id, "");
  try {
    await endOffer();
    showClaims();
    await Promise.all([loadAccount, loadApp, loadPasskeys, loadSessions].map((load) => load(session)));
    if (session.isLoggedIn) show("logged-in");
  } catch (reason) {
    if (session.isLoggedIn) setText("page-error", messageOf(reason));
  }
}

/**
 * Shows a new session. If the user has confirmed the identity with a passkey, the rest of the page stays as it is: it
 * may show the result of the operation that needed this.
 */
async function onLogIn(): Promise<void> {
  if (byID("logged-in").hidden || readClaims()?.sub !== user) return showAccount();
  showClaims();
  await loadSessions(session).catch((reason: unknown) => setText("sessions-error", messageOf(reason)));
}

for (const prepare of [prepareLogIn, prepareAccount, prepareApp, preparePasskeys, prepareStepUp]) prepare(session);
session.onChange(({ type }) => {
  if (type === "logged-in") void onLogIn();
  else if (type === "refreshed") showClaims();
  else showLogIn(session, "You are logged out.");
});
if (session.isLoggedIn) void showAccount();
else showLogIn(session, "");
