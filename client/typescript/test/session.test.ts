// The access tokens of the server expire after 10 seconds.
import assert from "node:assert/strict";
import { test } from "node:test";
import { memoryStorage, Problem, Session, type ProblemCode, type Tokens } from "@sesame-auth/client";
import { localStorageTokens } from "../examples/local-storage.js";
import { messageFor } from "../examples/message.js";
import {
  emailedToken,
  invalidate,
  is,
  login,
  newPassword,
  newProxy,
  newTab,
  password,
  record,
  server,
  serverURL,
  times,
  withTabs,
} from "./kit.js";
import { problem, type Proxy } from "./proxy.js";

/** Responds to refreshes. */
const interceptRefreshes =
  (respond: Proxy["intercept"]): Proxy["intercept"] =>
  (request, response) =>
    request.url === "/auth/refresh-tokens" && respond(request, response);

test("all operations", async () => {
  const { session, storage, email } = await login();
  assert.equal((await session.authenticate()).email, email);

  await session.forgotPassword(email);
  const token = await emailedToken("reset-password", email);
  await session.resetPassword(token, newPassword);
  await assert.rejects(session.resetPassword(token, newPassword), is("invalid_link", 401));
  await assert.rejects(session.authenticate(), is("invalid_access_token", 401));
  assert.equal(await storage.load(), undefined, "the reset must revoke the session");

  await assert.rejects(session.login(email, password), is("invalid_credentials", 401));
  await session.login(email, newPassword);
  const tokens = await storage.load();
  assert(tokens);
  await session.logout();
  assert.equal(await storage.load(), undefined);
  await session.logout();
  await assert.rejects(session.authenticate(), is("invalid_access_token", 401));
  const loggedOut = memoryStorage();
  await loggedOut.save(tokens);
  const other = new Session({ server: server.url, storage: loggedOut });
  await assert.rejects(other.authenticate(), is("invalid_access_token", 401));
  assert.equal(await loggedOut.load(), undefined, "the logout must revoke the session");
});

test("concurrent calls refresh once, before expiry", async () => {
  const { session, storage } = await login();
  const before = await storage.load();
  assert(before);
  assert(before.refreshAt - Date.now() <= 9_000 && before.refreshAt - Date.now() > 5_000);
  await new Promise((resolve) => setTimeout(resolve, before.refreshAt - Date.now())); // the tokens are due
  await times(50, () => session.authenticate());
  assert.equal(server.refreshes(), 1);
  assert.equal(server.sent.get("/auth"), 50);
  assert.notEqual((await storage.load())?.refreshToken, before.refreshToken);
});

test("concurrent calls refresh once after a 401", async () => {
  const { session, storage } = await login();
  await invalidate(storage);
  await times(50, () => session.authenticate());
  assert.equal(server.refreshes(), 1);
});

test("changes are reported", async () => {
  const { session, storage, email } = await login();
  const types = record(session);
  const twice: unknown[] = [];
  const listener = (event: unknown) => twice.push(event);
  const stop = [session.onChange(listener), session.onChange(listener)];
  assert.equal(session.isLoggedIn, true);
  await session.authenticate();
  assert.deepEqual(types, []);
  await invalidate(storage);
  await times(5, () => session.authenticate());
  assert.deepEqual(types.splice(0), ["refreshed", "refreshed"], "the first is the change by invalidate");
  assert.equal(twice.length, 4);
  stop[0]?.();
  stop[0]?.();
  await session.login(email, password);
  assert.equal(twice.length, 5);
  stop[1]?.();
  await session.logout();
  assert.equal(session.isLoggedIn, false);
  await session.logout();
  await assert.rejects(session.login(email, "wrong"), is("invalid_credentials", 401));
  assert.deepEqual(types.splice(0), ["logged-in", "logged-out"]);
  assert.equal(twice.length, 5);

  await session.login(email, password);
  await session.forgotPassword(email);
  await session.resetPassword(await emailedToken("reset-password", email), newPassword); // it revokes the session
  assert.equal(session.isLoggedIn, true);
  await assert.rejects(session.authenticate(), is("invalid_access_token", 401));
  assert.equal(session.isLoggedIn, false);
  assert.deepEqual(types, ["logged-in", "logged-out"]);
});

test("a listener can fail and can call the session", async () => {
  const { session, storage, email } = await login();
  const errors: unknown[] = [];
  const original = console.error;
  console.error = (reason: unknown) => errors.push(reason);
  try {
    session.onChange(() => {
      throw new Error("thrown");
    });
    session.onChange(() => Promise.reject(new Error("rejected")) as unknown as void);
    const calls: Promise<unknown>[] = [];
    session.onChange(({ type }) => {
      if (type === "refreshed") calls.push(session.authenticate(), session.login(email, password));
    });
    const types = record(session);
    const tokens = await storage.load();
    assert(tokens);
    await storage.save({ ...tokens, refreshAt: 0 });
    assert.equal((await session.authenticate()).email, email);
    assert.equal(calls.length, 2);
    await Promise.all(calls);
    assert.deepEqual(types, ["refreshed", "logged-in"]);
    assert.deepEqual(
      errors.map((reason) => (reason as Error).message).sort(),
      ["rejected", "rejected", "thrown", "thrown"],
    );
  } finally {
    console.error = original;
  }
});

test("an asynchronous storage", async () => {
  let stored: Tokens | undefined;
  let changed = () => undefined as void;
  let readers = 0;
  const storage = {
    load: () => Promise.resolve(stored),
    save: (tokens: Tokens | undefined) => Promise.resolve(void (stored = tokens)),
    subscribe: (listener: () => void) => {
      changed = listener;
      readers++;
      return () => void readers--;
    },
  };
  const tokens = { accessToken: "a", refreshToken: "r", refreshAt: Date.now() + 60_000, loggedInAt: 1 };
  stored = tokens;
  const session = new Session({ server: server.url, storage });
  assert.equal(session.isLoggedIn, false);
  const next = () =>
    new Promise<string>((resolve) => {
      const stop = session.onChange(({ type }) => {
        stop();
        resolve(type);
      });
    });
  assert.equal(await next(), "logged-in");
  assert.equal(session.isLoggedIn, true);
  for (const [other, type] of [
    [{ ...tokens, accessToken: "b" }, "refreshed"],
    [{ ...tokens, accessToken: "c", loggedInAt: 2 }, "logged-in"],
    [undefined, "logged-out"],
  ] as const) {
    const event = next();
    await Promise.resolve(); // the listener is there
    stored = other;
    changed();
    assert.equal(await event, type);
    assert.equal(session.isLoggedIn, other !== undefined);
  }
  assert.equal(readers, 0, "the storage must not be watched without listeners");
});

test("a slow read does not undo a change", async () => {
  const { storage } = await login();
  let hold: Promise<void> | undefined;
  const slow = {
    load: async () => {
      const [tokens, held] = [storage.load(), hold];
      await held;
      return tokens;
    },
    save: async (tokens: Tokens | undefined) => storage.save(tokens),
  };
  const session = new Session({ server: server.url, storage: slow });
  const types = record(session);
  await session.authenticate();
  let release = () => undefined as void;
  hold = new Promise((resolve) => (release = resolve));
  assert.equal(session.isLoggedIn, true); // it reads the tokens, slowly
  hold = undefined;
  await session.logout();
  release();
  await new Promise(setImmediate);
  assert.equal(session.isLoggedIn, false);
  assert.deepEqual(types, ["logged-in", "logged-out"]);
});

test("a request is not repeated as another user", async () => {
  const { session, storage } = await login();
  const other = await login();
  await invalidate(storage);
  server.intercept = (request, response) => {
    if (request.url !== "/auth" || server.sent.get("/auth") !== 1) return false;
    void Promise.resolve(other.storage.load()).then(async (tokens) => {
      await storage.save(tokens && { ...tokens, loggedInAt: tokens.loggedInAt + 1 }); // another tab logged in
      problem(response, 401, "invalid_access_token", { "WWW-Authenticate": 'Bearer error="invalid_token"' });
    });
    return true;
  };
  await assert.rejects(session.authenticate(), is("invalid_access_token", 401));
  assert.equal(server.sent.get("/auth"), 1);
  assert.equal((await session.authenticate()).email, other.email);
});

test("a change of the password replaces the tokens", async () => {
  const { session, storage, email } = await login();
  const before = await invalidate(storage); // the change needs a refresh
  const types = record(session);
  const input = { currentPassword: password, password: newPassword };
  await times(20, (i) => (i === 10 ? session.changePassword(input) : session.authenticate()));
  assert.equal(server.refreshes(), 1);
  const tokens = await storage.load();
  assert(tokens && tokens.refreshToken !== before.refreshToken && tokens.loggedInAt === before.loggedInAt);
  assert.deepEqual(types, ["refreshed", "refreshed"]);
  await assert.rejects(session.changePassword(input), is("incorrect_password", 403));
  assert.equal(server.refreshes(), 1);
  assert.deepEqual(await storage.load(), tokens);
  await session.login(email, newPassword);
  await session.logout();
  await assert.rejects(session.changePassword(input), is("invalid_access_token", 401));
});

test("a lost response to a change of the password does not end the session", async () => {
  const { session, storage } = await login();
  const before = await storage.load();
  server.intercept = (request, response) => {
    if (request.url !== "/auth/change-password") return false;
    void (async () => {
      const body = Buffer.concat(await request.toArray());
      const headers = { Authorization: request.headers.authorization ?? "", "Content-Type": "application/json" };
      const changed = await fetch(serverURL + request.url, { method: "POST", headers, body });
      response.writeHead(changed.ok ? 502 : 500).end();
    })();
    return true;
  };
  const input = { currentPassword: password, password: newPassword };
  await assert.rejects(session.changePassword(input), is(undefined, 502));
  assert.equal(server.refreshes(), 1);
  assert.notEqual((await storage.load())?.refreshToken, before?.refreshToken);
  server.intercept = () => false;
  await session.changePassword({ currentPassword: newPassword, password });
});

test("only a 401 causes a refresh", async () => {
  const { session } = await login();
  server.intercept = (_, response) =>
    problem(response, 403, "incorrect_password", { "WWW-Authenticate": 'Bearer error="invalid_token"' });
  await assert.rejects(session.authenticate(), is("incorrect_password", 403));
  assert.equal(server.refreshes(), 0);
});

test("two tabs refresh once", () =>
  withTabs(async ({ stored, locked }) => {
    const { session } = await login(localStorageTokens());
    const other = newTab();
    for (let i = 1; i <= 3; i++) {
      await invalidate(localStorageTokens());
      await times(50, (n) => (n % 2 ? session : other).authenticate());
      assert.equal(server.refreshes(), i);
    }
    assert(locked() > 3, "both tabs must use the lock");
    await other.logout();
    assert.equal(stored.size, 0);
    await assert.rejects(session.authenticate(), is("invalid_access_token"));
  }));

test("a refresh is retried after Retry-After", async () => {
  const { session, storage } = await login();
  await invalidate(storage);
  server.intercept = interceptRefreshes(
    (_, response) => server.refreshes() === 1 && problem(response, 503, "unavailable", { "Retry-After": "1" }),
  );
  const start = Date.now();
  await times(10, () => session.authenticate());
  assert.equal(server.refreshes(), 2);
  assert(Date.now() - start >= 990, "it must wait for Retry-After");
});

test("a failed refresh keeps the session", async () => {
  const html = { "Content-Type": "text/html" };
  const failures: [Proxy["intercept"], number, (reason: unknown) => boolean][] = [
    [(_, response) => problem(response, 503, "unavailable", { "Retry-After": "60" }), 1, is("unavailable", 503)],
    [(_, response) => problem(response, 500, "internal_error"), 1, is("internal_error", 500)],
    [(_, response) => problem(response, 401, "invalid_refresh_token", html), 1, is(undefined, 401)],
    [(_, response) => Boolean(response.destroy()), 2, (reason) => reason instanceof TypeError],
  ];
  for (const [fail, sent, expected] of failures) {
    const { session, storage } = await login();
    const kept = await invalidate(storage);
    const before = server.refreshes();
    server.intercept = interceptRefreshes(fail);
    await assert.rejects(session.authenticate(), expected);
    assert.equal(server.refreshes() - before, sent);
    assert.deepEqual(await storage.load(), kept);
    server.intercept = () => false;
    await times(5, () => session.authenticate());
  }
});

test("a failed refresh before expiry is not an error", async () => {
  const { session, storage } = await login();
  const tokens = await storage.load();
  assert(tokens);
  await storage.save({ ...tokens, refreshAt: 0 });
  server.intercept = interceptRefreshes((_, response) =>
    problem(response, 503, "unavailable", { "Retry-After": "60" }),
  );
  await times(50, () => session.authenticate());
  assert.equal(server.refreshes(), 1, "concurrent calls must share a refresh");
  await session.authenticate();
  assert.equal(server.refreshes(), 1, "there must be no other refresh for a while");
});

test("the token is sent only to listed origins", async () => {
  const unlisted = await newProxy();
  const tokens: (string | undefined)[] = [];
  const bodies: string[] = [];
  unlisted.intercept = (request, response) => {
    tokens.push(request.headers.authorization);
    let body = "";
    request.on("data", (chunk) => (body += chunk)).on("end", () => {
      bodies.push(body);
      response.writeHead(tokens.length > 0 ? 401 : 200, { "WWW-Authenticate": 'Bearer error="invalid_token"' }).end();
    });
    return true;
  };
  const { session } = await login();
  assert.equal((await session.fetch(unlisted.url)).status, 401);
  assert.equal(server.refreshes(), 0, "a 401 of an unlisted origin must not cause a refresh");
  server.intercept = (_, response) => Boolean(response.writeHead(307, { Location: unlisted.url }).end());
  await session.fetch(`${server.url}/auth`, { method: "POST", body: "b" });
  assert.deepEqual(tokens, [undefined, undefined]);
  assert.equal(server.refreshes(), 0, "a 401 after a redirect to an unlisted origin must not cause a refresh");
  await assert.rejects(session.login("ada@example.com", password), TypeError);
  await assert.rejects(session.authenticate(), TypeError);
  assert.deepEqual(bodies, ["", "b"], "redirects of the server must not be followed");
});

test("the token is not sent to another scheme or port", async () => {
  const { port } = new URL(server.url);
  const sent: (string | undefined)[] = [];
  server.intercept = (request, response) => {
    sent.push(request.headers.authorization);
    return Boolean(response.writeHead(401, { "WWW-Authenticate": 'Bearer error="invalid_token"' }).end());
  };
  const tokens = { accessToken: "a", refreshToken: "r", refreshAt: Date.now() + 60_000, loggedInAt: 0 };
  for (const origin of [`https://127.0.0.1:${port}`, "http://127.0.0.1", `http://localhost:${port}`]) {
    const storage = memoryStorage();
    await storage.save(tokens);
    const session = new Session({ server: "https://auth.example.com", origins: [origin], storage });
    assert.equal((await session.fetch(server.url)).status, 401);
  }
  assert.deepEqual(sent, [undefined, undefined, undefined]);
});

test("URLs must be https, except for a loopback address", () => {
  const noURL = /: must be a URL, such as https:\/\/auth\.example\.com$/;
  const noHTTPS = /: must be https, except for a loopback address$/;
  const urls: [string, RegExp?][] = [
    ["https://auth.example.com"],
    ["https://auth.example.com/"],
    ["https://example.com/auth"],
    ["http://127.0.0.1:8080"],
    ["http://127.1"],
    ["http://[::1]:8080"],
    ["http://localhost:8080"],
    ["", noURL],
    ["*", noURL],
    ["auth.example.com", noURL],
    ["https://", noURL],
    ["http://[::1", noURL],
    ["https://auth.example.com?a=b", noURL],
    ["https://auth.example.com#a", noURL],
    ["https://ada:x@auth.example.com", noURL],
    ["http://auth.example.com", noHTTPS],
    ["http://auth.example.com:443", noHTTPS],
    ["http://10.0.0.1", noHTTPS],
    ["http://127.0.0.1.example.com", noHTTPS],
    ["http://localhost.example.com", noHTTPS],
    ["ftp://auth.example.com", noHTTPS],
    ["ftp://127.0.0.1", noHTTPS],
    ["javascript:alert(1)", noHTTPS],
  ];
  for (const [url, refused] of urls) {
    for (const options of [{ server: url }, { server: "https://auth.example.com", origins: [url] }]) {
      if (refused) assert.throws(() => new Session(options), { name: "TypeError", message: refused }, url);
      else assert(new Session(options));
    }
  }
});

// In a browser, the responses of the first two calls are opaque: they have no status, and one has no URL. Node makes
// no opaque responses, so Response.error(), which has neither, stands in for them.
test("responses without a status or a URL are returned", async () => {
  const { session } = await login();
  server.intercept = (request, response) =>
    request.url === "/redirect" && Boolean(response.writeHead(302, { Location: "/" }).end());
  assert.equal((await session.fetch(`${server.url}/redirect`, { redirect: "manual" })).status, 302);
  assert((await session.fetch(`${server.url}/openapi.yaml`, { mode: "no-cors" })).ok);
  const challenge = { "WWW-Authenticate": 'Bearer error="invalid_token"' };
  const original = globalThis.fetch;
  try {
    for (const response of [Response.error(), new Response(null, { status: 401, headers: challenge })]) {
      assert.equal(response.url, "");
      globalThis.fetch = () => Promise.resolve(response);
      assert.equal(await session.fetch(server.url), response);
    }
  } finally {
    globalThis.fetch = original;
  }
  assert.equal(server.refreshes(), 0);
});

test("a body is sent again", async () => {
  const service = await newProxy();
  const { session, storage } = await login(memoryStorage(), [service.url]);
  const bodies: string[] = [];
  service.intercept = (request, response) => {
    let body = "";
    request.on("data", (chunk) => (body += chunk)).on("end", () => {
      bodies.push(body);
      const challenge = { "WWW-Authenticate": 'Bearer realm="x", error="invalid_token"' };
      if (bodies.length === 1) response.writeHead(401, challenge);
      response.end(request.headers.authorization);
    });
    return true;
  };
  const long = "a".repeat(300_000);
  const response = await session.fetch(service.url, { method: "PUT", body: long });
  assert.equal(await response.text(), `Bearer ${(await storage.load())?.accessToken}`);
  assert.deepEqual(bodies, [long, long]);
  assert.equal(server.refreshes(), 1);
});

test("problems of the server", async () => {
  const { session, email } = await login();
  const ada = { name: "Ada", email, password, confirm: password };
  await assert.rejects(session.register(ada), is("email_taken", 400));
  await assert.rejects(session.register({ ...ada, email: "nobody", confirm: "" }), (reason) => {
    assert(reason instanceof Problem);
    assert.deepEqual(reason.errors.map((error) => error.pointer).sort(), ["/confirm", "/email"]);
    assert.match(messageFor(reason), /\/email: /);
    assert.match(reason.instance ?? "", /^urn:uuid:/);
    return is("validation_failed", 400)(reason);
  });
  const weak = { ...ada, email: "eve@example.com", password: "password1", confirm: "password1" };
  await assert.rejects(session.register(weak), is("weak_password", 400));
  await assert.rejects(session.register({ ...ada, name: "\0" }), is("malformed_body", 400));
  await assert.rejects(session.register({ ...ada, name: "a".repeat(17 << 10) }), is("content_too_large", 413));
  const wrongURL = new Session({ server: `${server.url}/nowhere` });
  await assert.rejects(wrongURL.forgotPassword(email), is("not_found", 404));
  for (let i = 0; i < 10; i++) await assert.rejects(session.login(email, "wrong"), is("invalid_credentials", 401));
  await assert.rejects(session.login(email, "wrong"), (reason) => {
    assert(reason instanceof Problem && reason.retryAfter && reason.retryAfter >= 1);
    return is("too_many_requests", 429)(reason);
  });
});

test("every code is returned, and has a message", async () => {
  const session = new Session({ server: server.url });
  const openAPI = await (await fetch(`${serverURL}/openapi.yaml`)).text();
  const codes = /ProblemCode:[^]*?enum:\n((?: +- \w+\n)+)/.exec(openAPI)?.[1]?.match(/\w+/g) ?? [];
  assert(codes.length >= 15, String(codes));
  for (const code of codes) {
    server.intercept = (_, response) => problem(response, 500, code, { "Retry-After": "7" });
    await assert.rejects(session.forgotPassword("ada@example.com"), (reason) => {
      assert(reason instanceof Problem && reason.retryAfter === 7 && reason.detail === "D.");
      const message = messageFor(reason);
      assert(code === "validation_failed" || (message !== "" && message !== code), code);
      return is(code as ProblemCode, 500)(reason);
    });
  }
  server.intercept = (_, response) =>
    Boolean(response.writeHead(502, { "Content-Type": "text/html" }).end("<h1>Bad gateway</h1>"));
  await assert.rejects(session.forgotPassword("ada@example.com"), is(undefined, 502));
});
