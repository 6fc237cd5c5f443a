// Against the real server at SESAME_TEST_SERVER, which mails into the folder SESAME_TEST_MAIL and whose access tokens
// last 10 seconds. A Go test starts both.
import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, beforeEach, test } from "node:test";
import { memory, Problem, Session, type ProblemCode, type Tokens } from "@sesame-auth/client";
import { localStorageTokens } from "../examples/local-storage.js";
import { words } from "../examples/words.js";
import { problem, proxy, type Proxy } from "./proxy.js";

const { SESAME_TEST_SERVER: server, SESAME_TEST_MAIL: mail } = process.env;
assert(server && mail, "SESAME_TEST_SERVER and SESAME_TEST_MAIL are not set: go test ./cmd/sesame -run TypeScript");

const password = "correct horse battery staple";
const open: Proxy[] = [];
let way: Proxy;
let users = 0;

beforeEach(async () => {
  open.push((way = await proxy(server)));
});
after(() => {
  for (const p of open) p.close();
});

async function login(storage = memory(), origins: string[] = []) {
  const email = `typescript${++users}@example.com`;
  const session = new Session({ server: way.url, storage, origins });
  await session.register({ name: "Ada", email, password, confirm: password });
  await session.login(email, password);
  return { session, storage, email };
}

const is = (code: ProblemCode | undefined, status?: number) => (reason: unknown) => {
  assert(reason instanceof Problem, String(reason));
  assert.equal(reason.code, code);
  if (status) assert.equal(reason.status, status);
  return true;
};

/** The access token is one that the server will not take. */
async function spoil({ load, save }: ReturnType<typeof memory>): Promise<Tokens> {
  const tokens = await load();
  assert(tokens);
  const spoilt = { ...tokens, accessToken: tokens.accessToken.slice(0, -8) + "AAAAAAAA" };
  await save(spoilt);
  return spoilt;
}

const times = (n: number, call: (i: number) => Promise<unknown>) => Promise.all(Array.from({ length: n }, (_, i) => call(i)));

async function resetToken(email: string): Promise<string> {
  for (;;) {
    for (const name of await readdir(mail as string).catch(() => [])) {
      const letter = name.endsWith(".eml") ? await readFile(join(mail as string, name), "utf8") : "";
      const token = /#token=([\w-]+)/.exec(letter)?.[1];
      if (token && letter.includes(email)) return token;
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

test("the whole life", async () => {
  const { session, storage, email } = await login();
  assert.equal((await session.authenticate()).email, email);

  await session.forgotPassword(email);
  const token = await resetToken(email);
  await session.resetPassword(token, "an even better horse");
  await assert.rejects(session.resetPassword(token, "an even better horse"), is("invalid_reset_token", 401));
  await assert.rejects(session.authenticate(), is("invalid_access_token", 401));
  assert.equal(await storage.load(), undefined, "the reset ended the session");

  await assert.rejects(session.login(email, password), is("invalid_credentials", 401));
  await session.login(email, "an even better horse");
  const tokens = await storage.load();
  assert(tokens);
  await session.logout();
  assert.equal(await storage.load(), undefined);
  await session.logout();
  await assert.rejects(session.authenticate(), is("invalid_access_token", 401));
  const revived = memory();
  await revived.save(tokens);
  await assert.rejects(new Session({ server: way.url, storage: revived }).authenticate(), is("invalid_access_token", 401));
  assert.equal(await revived.load(), undefined, "the server ended the session");
});

test("50 calls across the expiry refresh once, ahead of it", async () => {
  const { session, storage } = await login();
  const before = await storage.load();
  assert(before);
  assert(before.refreshAt - Date.now() <= 9_000 && before.refreshAt - Date.now() > 5_000);
  await new Promise((resolve) => setTimeout(resolve, before.refreshAt - Date.now())); // the time of the token itself
  await times(50, () => session.authenticate());
  assert.equal(way.refreshes(), 1);
  assert.equal(way.sent.get("/auth"), 50);
  assert.notEqual((await storage.load())?.refreshToken, before.refreshToken);
});

test("50 calls that are answered 401 refresh once", async () => {
  const { session, storage } = await login();
  await spoil(storage);
  await times(50, () => session.authenticate());
  assert.equal(way.refreshes(), 1);
});

test("two tabs refresh once between them", async () => {
  let last: Promise<unknown> = Promise.resolve();
  let held = 0;
  const locks = {
    request: (name: string, run: () => Promise<unknown>) => {
      assert.equal(name, `sesame ${way.url}`);
      held++;
      const turn = last.then(run);
      last = turn.catch(() => undefined);
      return turn;
    },
  };
  const items = new Map<string, string>();
  const localStorage = {
    getItem: (key: string) => items.get(key) ?? null,
    setItem: (key: string, value: string) => void items.set(key, value),
    removeItem: (key: string) => void items.delete(key),
  };
  const before = Object.getOwnPropertyDescriptor(globalThis, "navigator");
  Object.defineProperty(globalThis, "navigator", { value: { locks }, configurable: true });
  Object.defineProperty(globalThis, "localStorage", { value: localStorage, configurable: true });
  try {
    const { session } = await login(localStorageTokens());
    const other = new Session({ server: way.url, storage: localStorageTokens() });
    for (let i = 1; i <= 3; i++) {
      await spoil(localStorageTokens());
      await times(50, (n) => (n % 2 ? session : other).authenticate());
      assert.equal(way.refreshes(), i);
    }
    assert(held > 3, "both took turns");
    await other.logout();
    assert.equal(items.size, 0);
    await assert.rejects(session.authenticate(), is("invalid_access_token"));
  } finally {
    Reflect.deleteProperty(globalThis, "navigator");
    if (before) Object.defineProperty(globalThis, "navigator", before);
    Reflect.deleteProperty(globalThis, "localStorage");
  }
});

test("a refresh is tried once more when the server says", async () => {
  const { session, storage } = await login();
  await spoil(storage);
  way.instead = (request, response) => request.url === "/auth/refresh-tokens" && way.refreshes() === 1 && problem(response, 503, "unavailable", { "Retry-After": "1" });
  const began = Date.now();
  await times(10, () => session.authenticate());
  assert.equal(way.refreshes(), 2);
  assert(Date.now() - began >= 990, "Retry-After was waited for");
});

test("a refresh that fails keeps the session", async () => {
  const failures: [typeof way.instead, number, (reason: unknown) => boolean][] = [
    [(_, response) => problem(response, 503, "unavailable", { "Retry-After": "60" }), 1, is("unavailable", 503)],
    [(_, response) => problem(response, 500, "internal_error"), 1, is("internal_error", 500)],
    [(_, response) => problem(response, 401, "invalid_refresh_token", { "Content-Type": "text/html" }), 1, is(undefined, 401)],
    [(_, response) => Boolean(response.destroy()), 2, (reason) => reason instanceof TypeError],
  ];
  for (const [fail, sent, expected] of failures) {
    const { session, storage } = await login();
    const kept = await spoil(storage);
    const before = way.refreshes();
    way.instead = (request, response) => request.url === "/auth/refresh-tokens" && fail(request, response);
    await assert.rejects(session.authenticate(), expected);
    assert.equal(way.refreshes() - before, sent);
    assert.deepEqual(await storage.load(), kept);
    way.instead = () => false;
    await times(5, () => session.authenticate());
  }
});

test("ahead of expiry a refresh that fails disturbs nobody", async () => {
  const { session, storage } = await login();
  const tokens = await storage.load();
  assert(tokens);
  await storage.save({ ...tokens, refreshAt: 0 });
  way.instead = (request, response) => request.url === "/auth/refresh-tokens" && problem(response, 503, "unavailable", { "Retry-After": "60" });
  await times(50, () => session.authenticate());
  assert.equal(way.refreshes(), 1, "all share the failure");
  await session.authenticate();
  assert.equal(way.refreshes(), 1, "and it is enough for a while");
});

test("the token goes nowhere else", async () => {
  const stranger = await proxy(server);
  open.push(stranger);
  const got: (string | undefined)[] = [];
  const bodies: string[] = [];
  stranger.instead = (request, response) => {
    got.push(request.headers.authorization);
    let body = "";
    request.on("data", (chunk) => (body += chunk)).on("end", () => {
      bodies.push(body);
      response.writeHead(got.length > 0 ? 401 : 200, { "WWW-Authenticate": 'Bearer error="invalid_token"' }).end();
    });
    return true;
  };
  const { session } = await login();
  assert.equal((await session.fetch(stranger.url)).status, 401);
  assert.equal(way.refreshes(), 0, "a stranger's 401 begins no refresh");
  way.instead = (_, response) => Boolean(response.writeHead(307, { Location: stranger.url }).end());
  await session.fetch(`${way.url}/auth`, { method: "POST", body: "b" });
  assert.deepEqual(got, [undefined, undefined]);
  assert.equal(way.refreshes(), 0, "nor does one that the server redirects to");
  await assert.rejects(session.login("ada@example.com", password), TypeError);
  await assert.rejects(session.authenticate(), TypeError);
  assert.deepEqual(bodies, ["", "b"], "a password follows no redirect");
});

test("a body is sent again as it was, to a listed service too", async () => {
  const service = await proxy(server);
  open.push(service);
  const { session, storage } = await login(memory(), [service.url]);
  const bodies: string[] = [];
  service.instead = (request, response) => {
    let body = "";
    request.on("data", (chunk) => (body += chunk)).on("end", () => {
      bodies.push(body);
      if (bodies.length === 1) response.writeHead(401, { "WWW-Authenticate": 'Bearer realm="x", error="invalid_token"' });
      response.end(request.headers.authorization);
    });
    return true;
  };
  const long = "a".repeat(300_000);
  const answer = await session.fetch(service.url, { method: "PUT", body: long });
  assert.equal(await answer.text(), `Bearer ${(await storage.load())?.accessToken}`);
  assert.deepEqual(bodies, [long, long]);
  assert.equal(way.refreshes(), 1);
});

test("problems of the server", async () => {
  const { session, email } = await login();
  const ada = { name: "Ada", email, password, confirm: password };
  await assert.rejects(session.register(ada), is("email_taken", 400));
  await assert.rejects(session.register({ ...ada, email: "nobody", confirm: "" }), (reason) => {
    assert(reason instanceof Problem);
    assert.deepEqual(reason.errors.map((fault) => fault.pointer).sort(), ["/confirm", "/email"]);
    assert.match(words(reason), /\/email: /);
    assert.match(reason.instance ?? "", /^urn:uuid:/);
    return is("validation_failed", 400)(reason);
  });
  await assert.rejects(session.register({ ...ada, email: "eve@example.com", password: "password1", confirm: "password1" }), is("weak_password", 400));
  await assert.rejects(session.register({ ...ada, name: "\0" }), is("malformed_body", 400));
  await assert.rejects(session.register({ ...ada, name: "a".repeat(17 << 10) }), is("content_too_large", 413));
  await assert.rejects(new Session({ server: `${way.url}/nowhere` }).forgotPassword(email), is("not_found", 404));
  for (let i = 0; i < 10; i++) await assert.rejects(session.login(email, "wrong"), is("invalid_credentials", 401));
  await assert.rejects(session.login(email, "wrong"), (reason) => {
    assert(reason instanceof Problem && reason.retryAfter && reason.retryAfter >= 1);
    return is("too_many_requests", 429)(reason);
  });
});

test("every code arrives as it was sent, and has words", async () => {
  const session = new Session({ server: way.url });
  const contract = await (await fetch(`${server}/openapi.yaml`)).text();
  const codes = /ProblemCode:[^]*?enum:\n((?: +- \w+\n)+)/.exec(contract)?.[1]?.match(/\w+/g) ?? [];
  assert(codes.length >= 15, String(codes));
  for (const code of codes) {
    way.instead = (_, response) => problem(response, 500, code, { "Retry-After": "7" });
    await assert.rejects(session.forgotPassword("ada@example.com"), (reason) => {
      assert(reason instanceof Problem && reason.retryAfter === 7 && reason.detail === "D.");
      const said = words(reason);
      assert(code === "validation_failed" || (said !== "" && said !== code), code);
      return is(code as ProblemCode, 500)(reason);
    });
  }
  way.instead = (_, response) => Boolean(response.writeHead(502, { "Content-Type": "text/html" }).end("<h1>Bad gateway</h1>"));
  await assert.rejects(session.forgotPassword("ada@example.com"), is(undefined, 502));
});
