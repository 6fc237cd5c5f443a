// The access tokens of the server are valid for an hour, and emails need not be verified.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { after, test } from "node:test";
import { memoryStorage, Problem, Session, type SessionOptions, type StepUp, type Tokens } from "@sesame-auth/client";
import { Authenticator } from "./authenticator.js";
import { is, login, newPassword, password, record, server, times } from "./kit.js";
import { problem } from "./proxy.js";

/** Returns the code of an authenticator app (RFC 6238). */
function totp(secret: string): string {
  let bits = "";
  for (const digit of secret) bits += "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".indexOf(digit).toString(2).padStart(5, "0");
  const key = Buffer.from(bits.match(/.{8}/g)?.map((byte) => parseInt(byte, 2)) ?? []);
  const step = Buffer.alloc(8);
  step.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000)));
  const hash = createHmac("sha1", key).update(step).digest();
  const code = hash.readUInt32BE((hash.at(-1) ?? 0) & 15) & 0x7fffffff;
  return String(code % 1_000_000).padStart(6, "0");
}

/** Returns a claim of an access token. */
function claim(tokens: Tokens | undefined, name: string): unknown {
  const payload = Buffer.from(tokens?.accessToken.split(".")[1] ?? "", "base64url").toString();
  return (JSON.parse(payload) as Record<string, unknown>)[name];
}

/** Adds an authenticator app and returns the recovery codes. */
async function addApp(session: Session): Promise<string[]> {
  const { secret } = await session.enrollTOTP();
  return session.confirmTOTP(totp(secret));
}

/** The challenge of the server for an account with a second factor. */
const twoFactors: StepUp = { maxAge: 600, acr: "aal2" };

/**
 * Returns a session of a user with a second factor, whose login was before that and is thus not enough. Its onStepUp is
 * prove, which gets a recovery code.
 */
async function oldLogin(prove: (session: Session, required: StepUp, codes: string[]) => void | Promise<void>) {
  const { session: first, email } = await login();
  const storage = memoryStorage();
  const required: StepUp[] = [];
  let codes: string[] = [];
  const options: SessionOptions = {
    server: server.url,
    origins: [service.url],
    storage,
    onStepUp: (r) => {
      required.push(r);
      return prove(session, r, codes);
    },
  };
  const session = new Session(options);
  await session.login(email, password);
  codes = await addApp(first);
  server.sent.clear();
  service.received.length = 0;
  return { session, storage, email, required, codes, first };
}

const prove = (session: Session, _: StepUp, codes: string[]) =>
  session.reauthenticate({ password, code: codes.pop() ?? "" });

/** A service that requires two factors and responds with the body of the request. */
const service = await (async () => {
  const received: IncomingMessage[] = [];
  const listener = createServer((request, response) => {
    received.push(request);
    const accessToken = request.headers.authorization?.slice("Bearer ".length) ?? "";
    if (claim({ accessToken } as Tokens, "acr") === "aal2") return void request.pipe(response);
    problem(response, 401, "insufficient_user_authentication", {
      "WWW-Authenticate": 'Bearer realm="a", error="insufficient_user_authentication", acr_values="aal2"',
    });
  });
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
  after(() => listener.close());
  return { url: `http://127.0.0.1:${(listener.address() as AddressInfo).port}`, received };
})();

test("the life of a second factor", async () => {
  const { session, storage, email } = await login();
  const types = record(session);
  assert.deepEqual(await session.factors(), { factors: [], recoveryCodesLeft: 0 });
  await assert.rejects(session.renewRecoveryCodes(), is("not_found", 404));
  const { secret, uri } = await session.enrollTOTP();
  assert.match(uri, /^otpauth:\/\/totp\//);
  await assert.rejects(session.confirmTOTP("000"), is("invalid_code", 403));
  const codes = await session.confirmTOTP(totp(secret));
  assert.equal(codes.length, 10);
  assert.equal(claim(await storage.load(), "acr"), "aal2", "the tokens are refreshed");
  await assert.rejects(session.enrollTOTP(), is("factor_exists", 409));

  await session.logout();
  const half = await session.login(email, password).catch((reason: unknown) => reason);
  assert(half instanceof Problem);
  assert.deepEqual([half.code, half.factors], ["second_factor_required", ["totp", "recovery_code"]]);
  assert.equal(session.isLoggedIn, false);
  await assert.rejects(session.completeLogin("unknown", "000000"), is("invalid_login_token", 401));
  await assert.rejects(session.completeLogin(half.loginToken ?? "", "000"), is("invalid_code", 401));
  await session.completeLogin(half.loginToken ?? "", codes[0] ?? "");
  assert.equal(session.isLoggedIn, true);

  const renewed = await session.renewRecoveryCodes();
  const [used = "", code = ""] = [codes[1], renewed[0]];
  await assert.rejects(session.reauthenticate({ password, code: used }), is("invalid_code", 403));
  await assert.rejects(session.reauthenticate({ password: "wrong", code }), is("incorrect_password", 403));
  const before = await storage.load();
  await session.reauthenticate({ password, code });
  assert.equal((await storage.load())?.loggedInAt, before?.loggedInAt);
  const { factors, recoveryCodesLeft } = await session.factors();
  assert.deepEqual([factors.map(({ type }) => type), recoveryCodesLeft], [["totp"], 9]);
  await session.removeTOTP();
  await assert.rejects(session.removeTOTP(), is("not_found", 404));
  await session.login(email, password);
  assert.deepEqual(types, ["refreshed", "logged-out", "logged-in", "refreshed", "logged-in"]);
});

test("onStepUp is called once, and the request is sent again once", async () => {
  const { session, required } = await oldLogin(prove);
  assert.equal((await session.renewRecoveryCodes()).length, 10);
  assert.deepEqual(required, [twoFactors]);
  assert.equal(server.sent.get("/auth/recovery-codes"), 2);
  assert.equal(server.sent.get("/auth/reauthenticate"), 1);
  await session.removeTOTP();
  assert.equal(required.length, 1);
  assert.equal(server.refreshes(), 0);
});

test("operations that replace the tokens call onStepUp without the lock", async () => {
  for (const call of [
    (session: Session) => session.changePassword({ currentPassword: password, password: newPassword }),
    (session: Session) => session.changeEmail("new@example.com", password),
    (session: Session) => session.deleteAccount(password),
  ]) {
    const { session, required } = await oldLogin(prove);
    await call(session);
    assert.deepEqual(required, [twoFactors]);
    assert.equal(server.refreshes(), 0);
  }
});

test("a service that requires two factors", async () => {
  const { session, required } = await oldLogin(prove);
  const response = await session.fetch(service.url, { method: "POST", body: "pay" });
  assert.equal(await response.text(), "pay");
  assert.deepEqual(required, [{ maxAge: undefined, acr: "aal2" }]);
  assert.equal(service.received.length, 2);
  assert.equal(server.refreshes(), 0);
});

test("if onStepUp fails, the request fails with its error", async () => {
  const cancelled = new Error("the user closed the dialog");
  const { session, storage, required } = await oldLogin(() => {
    throw cancelled;
  });
  const before = await storage.load();
  const same = (reason: unknown) => reason === cancelled;
  await assert.rejects(session.removeTOTP(), same);
  await assert.rejects(session.deleteAccount(password), same);
  await assert.rejects(session.fetch(service.url), same);
  assert.equal(required.length, 3);
  assert.equal(server.refreshes(), 0);
  assert.deepEqual(await storage.load(), before);
  assert.ok(await session.authenticate());
});

test("without onStepUp, methods throw the problem and fetch returns the response", async () => {
  const { storage } = await oldLogin(prove);
  const before = await storage.load();
  const session = new Session({ server: server.url, origins: [service.url], storage });
  const reason = await session.removeTOTP().catch((reason: unknown) => reason);
  assert(is("insufficient_user_authentication", 401)(reason) && reason instanceof Problem);
  assert.deepEqual(reason.stepUp, twoFactors);
  const response = await session.fetch(service.url);
  assert.equal(response.status, 401);
  assert.match(await response.text(), /insufficient_user_authentication/);
  assert.equal(server.refreshes(), 0);
  assert.deepEqual(await storage.load(), before);
});

test("a second challenge is the result", async () => {
  const { session, required } = await oldLogin(() => {});
  await assert.rejects(session.removeTOTP(), is("insufficient_user_authentication", 401));
  await assert.rejects(session.deleteAccount(password), is("insufficient_user_authentication", 401));
  assert.equal((await session.fetch(service.url)).status, 401);
  assert.equal(required.length, 3);
  assert.equal(server.sent.get("/auth/factors/totp"), 2);
  assert.equal(server.sent.get("/auth/delete-account"), 2);
  assert.equal(service.received.length, 2);
  assert.equal(server.refreshes(), 0);
});

test("a request is not sent again as another user, or without a session", async () => {
  const { email: other } = await login();
  for (const replace of [
    (session: Session) => session.login(other, password),
    (session: Session) => session.logout(),
  ]) {
    const { session, storage, required } = await oldLogin(replace);
    const before = await storage.load();
    await assert.rejects(session.deleteAccount(password), is("insufficient_user_authentication", 401));
    await storage.save(before);
    const response = await session.fetch(service.url, { method: "POST", body: "pay" });
    assert.match(await response.text(), /insufficient_user_authentication/);
    assert.equal(required.length, 2);
    assert.equal(server.sent.get("/auth/delete-account"), 1);
    assert.equal(service.received.length, 1);
  }
});

test("concurrent requests share a call of onStepUp", async () => {
  const { session, required } = await oldLogin(async (session, required, codes) => {
    await session.authenticate();
    await prove(session, required, codes);
  });
  await times(20, async () => assert.equal((await session.fetch(service.url)).status, 200));
  assert.equal(required.length, 1);
  assert.equal(server.refreshes(), 0);
});

test("a request that is aborted does not wait for onStepUp", async () => {
  let close: () => void = () => {};
  const { session, required } = await oldLogin(async (session, required, codes) => {
    await new Promise<void>((resolve) => (close = resolve));
    await prove(session, required, codes);
  });
  const controller = new AbortController();
  const aborted = session.fetch(service.url, { signal: controller.signal });
  const other = session.fetch(service.url);
  while (required.length === 0) await new Promise(setImmediate);
  controller.abort();
  await assert.rejects(aborted, { name: "AbortError" });
  close();
  assert.equal((await other).status, 200);
  assert.equal(required.length, 1);
});

test("a refresh can come before onStepUp", async () => {
  const { session, storage, required } = await oldLogin(prove);
  const tokens = await storage.load();
  assert(tokens);
  const [header, payload] = tokens.accessToken.split(".");
  await storage.save({ ...tokens, accessToken: `${header}.${payload}.AAAA` });
  await session.removeTOTP();
  assert.equal(required.length, 1);
  assert.equal(server.refreshes(), 1);
  assert.equal(server.sent.get("/auth/factors/totp"), 3);
});

test("passkeys in a browser", async () => {
  const browser = new Authenticator();
  await browser.run(async () => {
    const { session, storage } = await login();
    const added = await session.registerPasskey("Phone");
    assert.equal(added.name, "Phone");
    assert.deepEqual(await session.passkeys(), [added]);
    assert.equal((await session.renamePasskey(added.id, "Laptop")).name, "Laptop");
    await assert.rejects(session.renamePasskey("unknown", "Laptop"), is("not_found", 404));

    const types = record(session);
    await session.logout();
    await session.loginWithPasskey();
    assert.equal(claim(await storage.load(), "acr"), "aal2");
    await session.loginWithPasskey({ mediation: "conditional" });
    assert.deepEqual(browser.mediations, [undefined, "conditional"]);
    assert.deepEqual(types, ["logged-out", "logged-in", "logged-in"]);

    await session.deletePasskey(added.id);
    await assert.rejects(session.deletePasskey(added.id), is("not_found", 404));
    await assert.rejects(session.loginWithPasskey(), is("invalid_passkey", 401));
    assert.equal((await session.registerPasskey()).name, "Passkey");
  });
});

test("a passkey proves the identity in onStepUp", async () => {
  const browser = new Authenticator();
  await browser.run(async () => {
    const { session, first, required } = await oldLogin((session) => session.loginWithPasskey());
    await first.registerPasskey();
    await session.removeTOTP();
    assert.deepEqual(required, [twoFactors]);
  });
});

test("the user or the page cancels", async () => {
  const browser = new Authenticator();
  await browser.run(async () => {
    const { session } = await login();
    browser.user = "cancels";
    await assert.rejects(session.registerPasskey(), { name: "NotAllowedError" });
    await assert.rejects(session.loginWithPasskey(), { name: "NotAllowedError" });
    browser.user = "waits";
    for (const mediation of [undefined, "conditional"] as const) {
      const controller = new AbortController();
      const { signal } = controller;
      const calls = browser.mediations.length;
      const waiting = session.loginWithPasskey({ signal, ...(mediation && { mediation }) });
      while (browser.mediations.length === calls) await new Promise((resolve) => setTimeout(resolve, 1));
      controller.abort(new Error("another page"));
      await assert.rejects(waiting, /another page/);
      await assert.rejects(session.loginWithPasskey({ signal }));
      await assert.rejects(session.registerPasskey("Phone", { signal }));
    }
    assert.deepEqual(await session.passkeys(), []);
    assert.equal(session.isLoggedIn, true);
  });
});

test("autofill gets new options before they expire", async () => {
  const browser = new Authenticator();
  await browser.run(async () => {
    const { session } = await login();
    await session.registerPasskey();
    const later: (() => void)[] = [];
    const original = globalThis.setTimeout;
    globalThis.setTimeout = ((run: () => void, delay: number, ...rest: []) => {
      if (delay !== 240_000) return original(run, delay, ...rest); // four of five minutes
      later.push(run);
      return undefined;
    }) as typeof setTimeout;
    try {
      browser.user = "waits";
      const waiting = session.loginWithPasskey({ mediation: "conditional" });
      while (later.length === 0) await new Promise(setImmediate);
      browser.user = "accepts";
      later[0]?.();
      await waiting;
    } finally {
      globalThis.setTimeout = original;
    }
    assert.equal(server.sent.get("/auth/login/passkey/options"), 2);
    assert.deepEqual(browser.mediations, ["conditional", "conditional"]);
  });
});

test("a browser without passkeys", async () => {
  const { session } = await login();
  server.sent.clear();
  await assert.rejects(session.registerPasskey(), { name: "NotSupportedError", message: /does not support passkeys/ });
  await assert.rejects(session.loginWithPasskey(), { name: "NotSupportedError" });
  const browser = new Authenticator();
  browser.autofill = false;
  await browser.run(async () => {
    const conditional = session.loginWithPasskey({ mediation: "conditional" });
    await assert.rejects(conditional, { name: "NotSupportedError", message: /autofill/ });
  });
  assert.equal(server.sent.size, 0);
});
