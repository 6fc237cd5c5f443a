// The script of the page /try of the server.
import { Session } from "@sesame-auth/client";
import { loadAccount, loadSessions, prepareAccount, showClaims } from "./account.js";
import { loadApp, prepareApp } from "./app.js";
import { endOffer, prepareLogIn, showLogIn } from "./login.js";
import { messageOf, setText } from "./page.js";
import { loadPasskeys, preparePasskeys } from "./passkeys.js";
import { confirmIdentity, prepareStepUp } from "./step-up.js";
import { sessionTokens } from "./tokens.js";
import { show } from "./views.js";

const session: Session = new Session({
  server: new URL(".", location.href).href,
  storage: sessionTokens,
  onStepUp: (required) => confirmIdentity(session, required),
});

/** Shows the account, if nobody logs out meanwhile. */
async function showAccount(): Promise<void> {
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

for (const prepare of [prepareLogIn, prepareAccount, prepareApp, preparePasskeys, prepareStepUp]) prepare(session);
session.onChange(({ type }) => {
  if (type === "logged-in") void showAccount();
  else if (type === "refreshed") showClaims();
  else showLogIn(session, "You are logged out.");
});
if (session.isLoggedIn) void showAccount();
else showLogIn(session, "");
