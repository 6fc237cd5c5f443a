import type { Tokens, TokenStorage } from "./tokens.js";

/** A change of the session, in this tab or in another one. */
export interface SessionEvent {
  /**
   * `logged-in`: a session started, also if it replaced another one. `refreshed`: the session has new tokens.
   * `logged-out`: the session ended, by a logout or because the server rejected the refresh token.
   */
  type: "logged-in" | "refreshed" | "logged-out";
}

/** A storage that reports changes of the tokens. */
export class ObservedStorage {
  readonly #storage: TokenStorage;
  readonly #listeners = new Set<(event: SessionEvent) => void>();
  #stopWatching: (() => void) | undefined;
  #known: Tokens | undefined; // what the last read or write found
  #started = 0; // the number of reads and writes
  #observed = 0; // the last one that set #known

  constructor(storage: TokenStorage) {
    this.#storage = storage;
  }

  async load(): Promise<Tokens | undefined> {
    const turn = ++this.#started;
    const tokens = await this.#storage.load();
    this.#observe(tokens, turn);
    return tokens;
  }

  async save(tokens: Tokens | undefined): Promise<void> {
    await this.#storage.save(tokens);
    this.#observe(tokens, ++this.#started); // reads that started before may have found the old tokens
  }

  /** Whether there are tokens. An asynchronous storage is read again, and this is what the last read found. */
  get hasTokens(): boolean {
    const tokens = this.#storage.load();
    if (!(tokens instanceof Promise)) return tokens !== undefined;
    const turn = ++this.#started;
    tokens.then((found) => this.#observe(found, turn), ignore);
    return this.#known !== undefined;
  }

  /** Calls the listener after each change, until the returned function is called. */
  subscribe(listener: (event: SessionEvent) => void): () => void {
    if (this.#listeners.size === 0) this.#watch();
    const entry = (event: SessionEvent) => listener(event); // a listener can be added twice
    this.#listeners.add(entry);
    return () => {
      this.#listeners.delete(entry);
      if (this.#listeners.size > 0) return;
      this.#stopWatching?.();
      this.#stopWatching = undefined;
    };
  }

  #watch(): void {
    const reload = () => void this.load().catch(ignore);
    this.#stopWatching = this.#storage.subscribe?.(reload);
    const tokens = this.#storage.load();
    if (tokens instanceof Promise) reload();
    else this.#known = tokens;
  }

  #observe(tokens: Tokens | undefined, turn: number): void {
    if (turn < this.#observed) return;
    this.#observed = turn;
    const before = this.#known;
    this.#known = tokens;
    if (before?.accessToken === tokens?.accessToken) return;
    const type = !tokens ? "logged-out" : before?.loggedInAt === tokens.loggedInAt ? "refreshed" : "logged-in";
    for (const listener of [...this.#listeners]) {
      if (this.#listeners.has(listener)) void call(listener, { type });
    }
  }
}

/** Ignores an error of the storage: the next request reports it. */
const ignore = () => undefined;

/** Calls a listener. Its error, or the rejection of its promise, goes to the console only. */
async function call(listener: (event: SessionEvent) => unknown, event: SessionEvent): Promise<void> {
  try {
    await listener(event);
  } catch (reason) {
    console.error(reason);
  }
}
