// What the tests share. They use the real server at SESAME_TEST_SERVER, which writes emails to the folder
// SESAME_TEST_MAIL. typescript_test.go starts a server for each file of tests and runs it.
import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, beforeEach } from "node:test";
import { memoryStorage, Problem, Session, type ProblemCode, type Tokens } from "@sesame-auth/client";
import { localStorageTokens } from "../examples/local-storage.js";
import { proxy, type Proxy } from "./proxy.js";

const { SESAME_TEST_SERVER, SESAME_TEST_MAIL: mail = "" } = process.env;
assert(SESAME_TEST_SERVER && mail, "settings are missing: run go test ./client/typescript");
export const serverURL: string = SESAME_TEST_SERVER;

export const password = "correct horse battery staple";
export const newPassword = "an even better horse";
const open: Proxy[] = [];
/** The server of the current test: a proxy in front of serverURL. */
export let server: Proxy;
let users = 0;

beforeEach(async () => {
  server = await newProxy();
});
after(() => {
  for (const p of open) p.close();
});

/** Returns another proxy in front of serverURL, which is closed after the tests. */
export async function newProxy(): Promise<Proxy> {
  const p = await proxy(serverURL);
  open.push(p);
  return p;
}

/** Returns an email that no other test uses. */
export const newEmail = () => `typescript${++users}@example.com`;

/** Registers a user and returns a session that is logged in. */
export async function login(storage = memoryStorage(), origins: string[] = []) {
  const email = newEmail();
  const session = new Session({ server: server.url, storage, origins });
  await session.register({ name: "Ada", email, password, confirm: password });
  await session.login(email, password);
  return { session, storage, email };
}

/** Returns a check that an error is a Problem with this code and status. */
export const is = (code: ProblemCode | undefined, status?: number) => (reason: unknown) => {
  assert(reason instanceof Problem, String(reason));
  assert.equal(reason.code, code);
  if (status) assert.equal(reason.status, status);
  return true;
};

/** Replaces the stored access token with an invalid one. */
export async function invalidate({ load, save }: ReturnType<typeof memoryStorage>): Promise<Tokens> {
  const tokens = await load();
  assert(tokens);
  const invalid = { ...tokens, accessToken: tokens.accessToken.slice(0, -8) + "AAAAAAAA" };
  await save(invalid);
  return invalid;
}

/** Makes n concurrent calls. */
export const times = (n: number, call: (i: number) => Promise<unknown>) =>
  Promise.all(Array.from({ length: n }, (_, i) => call(i)));

/** Records the types of the events of a session. */
export function record(session: Session): string[] {
  const types: string[] = [];
  session.onChange(({ type }) => types.push(type));
  return types;
}

/** Waits for the email to this email with a link to this page, and returns the token of the link. */
export async function emailedToken(page: string, email: string): Promise<string> {
  const link = new RegExp(`/${page}#token=([\\w-]+)`);
  for (;;) {
    for (const name of await readdir(mail).catch(() => [])) {
      const message = name.endsWith(".eml") ? await readFile(join(mail, name), "utf8") : "";
      const token = link.exec(message)?.[1];
      if (token && message.includes(`To: <${email}>`)) return token;
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Returns the session of another tab. See withTabs. */
export const newTab = () => new Session({ server: server.url, storage: localStorageTokens() });

/** Runs a test with the localStorage, the storage events and the Web Locks of a browser, which its tabs share. */
export async function withTabs(
  run: (browser: { stored: Map<string, string>; locked: () => number }) => Promise<void>,
): Promise<void> {
  let last: Promise<unknown> = Promise.resolve();
  let locked = 0;
  const locks = {
    request: (name: string, run: () => Promise<unknown>) => {
      assert.equal(name, `sesame ${server.url}`);
      locked++;
      const turn = last.then(run);
      last = turn.catch(() => undefined);
      return turn;
    },
  };
  const stored = new Map<string, string>();
  const window = new EventTarget();
  const changed = (key: string) =>
    setImmediate(() => window.dispatchEvent(Object.assign(new Event("storage"), { key, storageArea: localStorage })));
  const localStorage = {
    getItem: (key: string) => stored.get(key) ?? null,
    setItem: (key: string, value: string) => {
      stored.set(key, value);
      changed(key);
    },
    removeItem: (key: string) => {
      stored.delete(key);
      changed(key);
    },
  };
  const browser = { navigator: { locks }, localStorage, window };
  const before = Object.getOwnPropertyDescriptor(globalThis, "navigator");
  for (const [name, value] of Object.entries(browser)) {
    Object.defineProperty(globalThis, name, { value, configurable: true });
  }
  try {
    await run({ stored, locked: () => locked });
  } finally {
    for (const name of Object.keys(browser)) Reflect.deleteProperty(globalThis, name);
    if (before) Object.defineProperty(globalThis, "navigator", before);
  }
}
