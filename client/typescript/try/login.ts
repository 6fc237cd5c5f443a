import { Problem, type Session } from "@sesame-auth/client";
import { byID, find, messageOf, onClick, onSubmit, setText } from "./page.js";
import { canUsePasskeys } from "./passkeys.js";
import { show } from "./views.js";

const email = byID<HTMLInputElement>("log-in-email");
const password = byID<HTMLInputElement>("log-in-password");
const code = byID<HTMLInputElement>("login-code");

let loginToken = "";
let offer = new AbortController(); // ends the offer of passkeys in the autofill
let offered: Promise<void> = Promise.resolve();

/** Shows the form to log in. The autofill of its email field offers passkeys. */
export function showLogIn(session: Session, status: string): void {
  loginToken = "";
  for (const field of [password, code]) field.value = "";
  setText("log-in-status", status);
  show("logged-out");
  offerPasskeys(session);
}

function offerPasskeys(session: Session): void {
  if (!canUsePasskeys) return;
  offer.abort();
  offer = new AbortController();
  offered = session.loginWithPasskey({ mediation: "conditional", signal: offer.signal }).catch((reason: unknown) => {
    // The browser has no such autofill, or the offer has ended.
    if (!(reason instanceof DOMException)) setText("passkey-log-in-error", messageOf(reason));
  });
}

/** Ends the offer of passkeys in the autofill. Browsers handle one request for a passkey at a time. */
export async function endOffer(): Promise<void> {
  offer.abort();
  await offered;
}

/** Prepares the forms to log in and to register. */
export function prepareLogIn(session: Session): void {
  onSubmit("log-in", async () => {
    setText("log-in-status", "");
    try {
      await session.login(email.value.trim(), password.value);
    } catch (reason) {
      if (!(reason instanceof Problem) || reason.loginToken === undefined) throw reason;
      loginToken = reason.loginToken;
      await endOffer();
      show("second-factor");
      code.focus();
    }
  });
  onSubmit("passkey-log-in", async () => {
    setText("log-in-status", "");
    await endOffer();
    try {
      await session.loginWithPasskey();
    } catch (reason) {
      offerPasskeys(session);
      throw reason;
    }
  });
  onSubmit("complete-login", async () => {
    try {
      await session.completeLogin(loginToken, code.value.trim());
    } catch (reason) {
      if (!(reason instanceof Problem) || reason.code !== "invalid_login_token") throw reason;
      showLogIn(session, "");
      setText("log-in-error", reason.detail);
    }
  });
  onClick("cancel-login", () => showLogIn(session, ""));
  onSubmit("register", async (value) => {
    const input = { name: value("name").trim(), email: value("email").trim(), password: value("password") };
    await session.register({ ...input, confirm: input.password });
    find<HTMLFormElement>(document, "#register").reset();
    setText("log-in-status", "You are registered, and we sent you a link to verify your email. Now log in.");
    email.value = input.email;
    password.focus();
  });
}
