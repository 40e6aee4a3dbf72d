import { Backoff, sleep } from "./backoff.js";
import { endpoint } from "./endpoint.js";
import { cleanKey, Identity, randomId } from "./identity.js";
import { Inbox } from "./inbox.js";
import { LineError, Refusal } from "./refusal.js";
import { Session } from "./session.js";
import { Keeper, MemoryState } from "./state.js";

/** Holds the line of one machine. It is made by connect. */
export class Client {
  #options;
  #dial;
  #inbox;
  #keeper;
  #identity;
  #life = new AbortController(); // with the reason why the client ends
  #status = { phase: "connecting" };
  #admit;
  #settle;

  /**
   * Resolves after close() or an abort; rejects with a Refusal, with what a handler threw, or if the
   * state could not be saved at the end.
   */
  ended;
  /** Resolves once the gateway has let the machine in. */
  admitted;

  constructor({ options, dial, keeper, identity }) {
    this.#options = options;
    this.#dial = dial;
    this.#keeper = keeper;
    this.#identity = identity;
    this.#inbox = new Inbox(keeper.state.position ?? null, () => this.#moved());
    this.admitted = new Promise((resolve) => (this.#admit = resolve));
    this.ended = new Promise((resolve, reject) => (this.#settle = { resolve, reject }));
    this.ended.catch(() => {}); // whoever waits for it hears of it
  }

  get status() {
    return this.#status;
  }

  /** Says goodbye to the gateway, saves the position, and ends. It does not wait for a handler. */
  async close() {
    this.#life.abort(closedByUs);
    await this.ended.catch(() => {});
  }

  start() {
    const { signal } = this.#options;
    const leave = () => this.#life.abort(closedByUs);
    signal?.addEventListener("abort", leave);
    this.#life.signal.addEventListener("abort", () => signal?.removeEventListener("abort", leave));
    if (signal?.aborted) leave();
    this.#run();
    this.#deliver();
  }

  async #run() {
    const wait = new Backoff();
    for (;;) {
      const { livedMs, error } = await this.#attempt();
      // Before the end of life: a deletion must not be missed by a program that leaves.
      const another = error instanceof Refusal && (await this.#identity.another(error));
      if (error instanceof Refusal && error.terminal && !another) return this.#finish(error);
      if (this.#life.signal.aborted) return this.#finish(this.#life.signal.reason);
      const delayMs = wait.next(livedMs, error.retryAfterMs);
      this.#setStatus({ phase: "waiting", reason: error, delayMs });
      await sleep(delayMs, this.#life.signal);
      if (error.overrun) await this.#room();
    }
  }

  // Connects once, stays as long as that lasts, and says how long and why that ended.
  async #attempt() {
    const life = this.#life.signal;
    let since = Infinity;
    this.#setStatus({ phase: "connecting" });
    try {
      await this.#identity.prepare();
      const session = new Session({ inbox: this.#inbox, identity: this.#identity });
      await session.open(this.#dial, life);
      since = performance.now();
      const { machineId, sessionId } = session.welcome;
      // With the position: a machine that is killed in its first second is owed what came in it.
      if (machineId) await this.#keeper.change({ machineId, position: this.#inbox.processed ?? undefined });
      this.#setStatus({ phase: "connected", machineId, sessionId });
      this.#admit();
      await session.serve(life);
    } catch (error) {
      return { livedMs: Math.max(0, performance.now() - since), error };
    }
  }

  // A message counts as processed once its handler is done; only then comes the next.
  async #deliver() {
    const life = this.#life.signal;
    while (!life.aborted) {
      const item = this.#inbox.take();
      if (!item) {
        await this.#inbox.changed(life);
        continue;
      }
      try {
        if (item.gap) await this.#options.onGap?.(item.gap);
        else await this.#options.onMessage(item.message, life);
      } catch (error) {
        return this.#life.abort(error);
      }
      this.#inbox.done();
    }
  }

  async #room() {
    while (this.#inbox.isFull() && !this.#life.signal.aborted) await this.#inbox.changed(this.#life.signal);
  }

  #moved() {
    if (!this.#life.signal.aborted) this.#keeper.soon(() => this.#inbox.processed);
  }

  #setStatus(status) {
    this.#status = status;
    try {
      this.#options.onStatus?.(status);
    } catch (error) {
      this.#life.abort(error);
    }
  }

  // Makes reason the client's end, once everything that depends on it has been stored.
  async #finish(reason) {
    this.#life.abort(reason);
    this.#keeper.stop();
    if (reason instanceof Refusal && reason.code === "machine_deleted") {
      await this.#keeper.forget(await this.#identity.digest());
    } else {
      await this.#keeper.change({ position: this.#inbox.processed ?? undefined });
    }
    if (reason === closedByUs) reason = this.#unsaved();
    this.#setStatus({ phase: "ended", reason });
    if (reason === undefined) this.#settle.resolve();
    else this.#settle.reject(reason);
  }

  #unsaved() {
    const cause = this.#keeper.error;
    return cause ? new LineError("the machine's state is not saved", { cause }) : undefined;
  }
}

const closedByUs = new LineError("the client was closed");

/** What node.js and browser.js make their connect of. dial opens a socket, info describes the machine. */
export async function connectWith({ dial, info }, addr, options) {
  const { signal, onMessage, state, machine, log = () => {} } = options;
  if (typeof onMessage !== "function") throw new TypeError("onMessage is no function");
  if (!globalThis.crypto?.subtle) throw new TypeError("there is no crypto.subtle: a page must come over https, or from localhost");
  signal?.throwIfAborted();
  const url = endpoint(addr);
  const store = state ?? new MemoryState();
  const saved = (await store.load()) ?? {};
  if (typeof options.apiKey !== "function") cleanKey(options.apiKey ?? saved.apiKey);
  const keeper = new Keeper(store, saved, log);
  const enrols = state !== undefined || machine?.hwid !== undefined;
  if (enrols) await keeper.change({ hwid: machine?.hwid ?? saved.hwid ?? randomId() });
  const identity = new Identity({
    apiKey: options.apiKey,
    keeper,
    machine: enrols ? async (hwid) => ({ ...(await info(hwid)), ...machine }) : null,
  });
  const client = new Client({ options, keeper, identity, dial: (limit) => dial(url, options, limit) });
  client.start();
  await Promise.race([client.admitted, client.ended]);
  signal?.throwIfAborted();
  return client;
}
