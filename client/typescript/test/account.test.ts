import assert from "node:assert/strict";
import { test } from "node:test";
import { Session } from "@sesame-auth/client";
import { localStorageTokens } from "../examples/local-storage.js";
import {
  emailedToken,
  invalidate,
  is,
  login,
  newEmail,
  newPassword,
  newTab,
  password,
  record,
  server,
  times,
  withTabs,
} from "./kit.js";

/** Returns a session of another device. It is logged out. */
const newDevice = () => new Session({ server: server.url });

test("the life of an account", () =>
  withTabs(async () => {
    const email = newEmail();
    const session = newTab();
    const other = newTab();

    await session.register({ name: "Ada", email, password, confirm: password });
    await session.sendVerificationEmail(newEmail()); // the email of no account
    await assert.rejects(session.sendVerificationEmail("nobody"), is("validation_failed", 400));
    const verification = await emailedToken("verify-email", email);
    const link = await session.checkEmailLink(verification);
    assert.equal(link.purpose, "verify-email");
    assert(Date.parse(link.expiresAt) > Date.now());
    await assert.rejects(session.verifyEmail(verification, "wrong"), is("incorrect_password", 403));
    await session.verifyEmail(verification, password);
    await assert.rejects(session.verifyEmail(verification, password), is("invalid_link", 401));
    await assert.rejects(session.checkEmailLink(verification), is("invalid_link", 401));

    await session.login(email, password);
    const types = record(session);
    const typesOfOther = record(other);
    const account = await session.account();
    assert.deepEqual(
      { ...account, id: "", createdAt: "" },
      { id: "", name: "Ada", bio: null, email, emailVerified: true, pendingEmail: null, createdAt: "" },
    );

    assert.deepEqual(await session.updateAccount({ bio: "Programs" }), { ...account, bio: "Programs" });
    const fromForm: { name: string; bio?: string } = { name: "Ada King", bio: undefined as unknown as string };
    assert.deepEqual(await session.updateAccount(fromForm), { ...account, name: "Ada King", bio: "Programs" });
    assert.deepEqual(await session.updateAccount({ bio: null }), { ...account, name: "Ada King" });
    await assert.rejects(session.updateAccount({ name: "" }), is("validation_failed", 400));

    const phone = newDevice();
    await phone.login(email, password);
    await invalidate(localStorageTokens());
    const input = { currentPassword: password, password: newPassword };
    const refreshes = server.refreshes();
    await times(20, (i) => (i === 10 ? session.changePassword(input) : other.authenticate()));
    assert.equal(server.refreshes() - refreshes, 1);
    await assert.rejects(phone.authenticate(), is("invalid_access_token", 401));
    assert.equal(phone.isLoggedIn, false);

    await phone.login(email, newPassword);
    const sessions = await session.sessions();
    assert.deepEqual(sessions.map(({ current }) => current), [false, true]);
    await session.revokeSession(sessions[0]?.id ?? "");
    await assert.rejects(phone.account(), is("invalid_access_token", 401));
    assert.equal((await session.sessions()).length, 1);

    const changed = newEmail();
    await session.changeEmail(newEmail(), newPassword);
    assert((await session.account()).pendingEmail);
    await session.cancelEmailChange();
    assert.equal((await session.account()).pendingEmail, null);
    await session.changeEmail(changed, newPassword);
    const change = await emailedToken("confirm-email-change", changed);
    await assert.rejects(session.confirmEmailChange(change, "wrong"), is("incorrect_password", 403));
    await session.confirmEmailChange(change, newPassword);
    assert.equal((await other.account()).email, changed);

    assert.equal(session.isLoggedIn, true);
    await newDevice().undoEmailChange(await emailedToken("undo-email-change", email));
    await assert.rejects(session.account(), is("invalid_access_token", 401));
    assert.equal(session.isLoggedIn, false);
    await assert.rejects(session.login(email, newPassword), is("invalid_credentials", 401));
    await session.resetPassword(await emailedToken("reset-password", email), password);
    await session.login(email, password);

    const exported = await other.exportAccount();
    assert.deepEqual(exported.account, { ...account, name: "Ada King" });
    assert(exported.sessions.length > 1 && exported.events.some(({ kind }) => kind === "login"));

    await invalidate(localStorageTokens()); // the deletion needs a refresh
    await session.deleteAccount(password);
    assert.deepEqual([session.isLoggedIn, other.isLoggedIn], [false, false]);
    await new Promise(setImmediate); // the storage event
    assert.deepEqual([types.at(-1), typesOfOther.at(-1)], ["logged-out", "logged-out"]);
    await assert.rejects(session.deleteAccount(password), is("invalid_access_token", 401));
    await assert.rejects(session.login(email, password), is("invalid_credentials", 401));
  }));

test("sessions of the user end", async () => {
  const { session, storage, email } = await login();
  const phone = newDevice();
  const types = record(session);

  await phone.login(email, password);
  await assert.rejects(session.revokeSession("unknown"), is("not_found", 404));
  const own = (await session.sessions()).find(({ current }) => current);
  await invalidate(storage); // the revocation needs a refresh
  await session.revokeSession(own?.id ?? "");
  assert.equal(session.isLoggedIn, false);
  await assert.rejects(session.revokeSession("unknown"), is("invalid_access_token", 401));
  assert.equal((await phone.sessions()).length, 1);

  await session.login(email, password);
  await session.logoutEverywhere({ keepCurrent: true });
  assert.equal((await session.sessions()).length, 1);
  await assert.rejects(phone.authenticate(), is("invalid_access_token", 401));

  await phone.login(email, password);
  await invalidate(storage);
  await session.logoutEverywhere();
  assert.equal(session.isLoggedIn, false);
  assert.deepEqual(types.slice(-2), ["refreshed", "logged-out"]);
  await assert.rejects(phone.authenticate(), is("invalid_access_token", 401));
  assert.equal(phone.isLoggedIn, false);
  await assert.rejects(session.logoutEverywhere(), is("invalid_access_token", 401));
});

test("a wrong password causes no refresh and keeps the session", async () => {
  const { session, storage } = await login();
  const kept = await storage.load();
  const input = { currentPassword: "wrong", password: newPassword };
  for (const [path, call] of [
    ["/auth/change-password", () => session.changePassword(input)],
    ["/auth/change-email", () => session.changeEmail(newEmail(), "wrong")],
    ["/auth/delete-account", () => session.deleteAccount("wrong")],
  ] as const) {
    await assert.rejects(call(), is("incorrect_password", 403));
    assert.equal(server.sent.get(path), 1, path);
    assert.equal(server.refreshes(), 0, path);
    assert.deepEqual(await storage.load(), kept);
  }
});

test("operations of emailed links send no access token", async () => {
  const { session } = await login();
  const calls = [
    () => session.sendVerificationEmail(newEmail()),
    () => session.verifyEmail("x", password),
    () => session.confirmEmailChange("x", password),
    () => session.undoEmailChange("x"),
    () => session.checkEmailLink("x"),
  ];
  const sent: (string | undefined)[] = [];
  server.intercept = ({ headers }) => {
    sent.push(headers.authorization);
    return false;
  };
  const results = await Promise.allSettled(calls.map((call) => call()));
  assert.deepEqual(results.map(({ status }) => status), ["fulfilled", "rejected", "rejected", "rejected", "rejected"]);
  for (const result of results.slice(1)) is("invalid_link", 401)((result as PromiseRejectedResult).reason);
  assert.deepEqual(sent, calls.map(() => undefined));
  assert.equal(session.isLoggedIn, true);
});

test("an operation that fails keeps the session", async () => {
  const { session, storage } = await login();
  const kept = await storage.load();
  server.intercept = (request, response) => request.url !== "/auth" && Boolean(response.destroy());
  for (const call of [
    () => session.deleteAccount(password),
    () => session.logoutEverywhere(),
    () => session.revokeSession("unknown"),
  ]) {
    await assert.rejects(call(), TypeError);
    assert.deepEqual(await storage.load(), kept);
  }
});
