/** A place in the gateway's log: a number within one life of the log. */
export interface Position {
  epoch: string;
  seq: number;
}

/** Data for this machine. */
export interface Message {
  /** What was published, any JSON. */
  data: unknown;
  /** The publisher's, if it gave one. */
  id?: string;
  /** Where the message lies in the log; undefined for a live-only message. */
  position?: Position;
}

/** Messages between two positions may be gone for good. Delivery goes on behind until. */
export interface Gap {
  after: Position;
  until: Position;
}

/** What a machine says of itself. Fields that are left out are filled with what is known. */
export interface MachineInfo {
  hostname?: string;
  os?: string;
  arch?: string;
  cpuCores?: number;
  ramBytes?: number;
  /** Tells this machine from others with the same key; made at random at the first run. */
  hwid?: string;
  /** Your program's. */
  version?: string;
  /** Stays while the system runs, and differs between two that run at once: so clones are noticed. */
  bootId?: string;
}

/** What a machine keeps between two runs. */
export interface State {
  /** Used when the options name no key. It is never stored by the client, but wiped by it. */
  apiKey?: string;
  hwid?: string;
  machineId?: string;
  /** Behind the last message that was processed. */
  position?: Position;
  /** The SHA-256, in hex, of the key this machine was deleted with. */
  deletedWith?: string;
}

/** Keeps a State. No two methods are called at once. */
export interface StateStore {
  /** What was saved last; an empty object if there was nothing. */
  load(): State | Promise<State>;
  /** Replaces what was saved before, as a whole: what state does not hold must be gone. */
  save(state: State): void | Promise<void>;
}

export type Status =
  | { phase: "connecting" }
  | { phase: "connected"; machineId?: string; sessionId?: string }
  | { phase: "waiting"; reason: Error; delayMs: number }
  | { phase: "ended"; reason?: unknown };

/** Options that both platforms have. One of apiKey and a state that holds a key is required. */
export interface Options {
  /** The account's key. A function is asked before every attempt, so a rotated key is taken up. */
  apiKey?: string | (() => string | Promise<string>);
  /**
   * Is given one message at a time. When it has returned, or what it returned has resolved, the
   * message counts as processed and the next one comes. What it throws ends the client, and the
   * message is given again to the next run. signal aborts when the client ends.
   */
  onMessage(message: Message, signal: AbortSignal): unknown;
  /** Hears of lost history, in order among the messages. */
  onGap?(gap: Gap): unknown;
  /** Hears every change of the line, in order. */
  onStatus?(status: Status): void;
  /**
   * Keeps the machine's identity and position between two runs. Without it and without machine.hwid
   * the machine is the account's default machine; with either it is enrolled as one of its own.
   */
  state?: StateStore;
  machine?: MachineInfo;
  /** Ends the client when it aborts, as close does. */
  signal?: AbortSignal;
  /** Hears of what goes wrong without ending anything. No key and no token is said. */
  log?(line: string): void;
}

/** What the gateway said when it refused or ended a session. */
export class Refusal extends Error {
  private constructor();
  /** The stable word for it; empty if the gateway named none. */
  readonly code: string;
  /** The WebSocket close code; 0 if a frame alone said it. */
  readonly close: number;
  /** How long the gateway asks to stay away. */
  readonly retryAfterMs: number;
  /** Coming back as the same machine with the same key is of no use. */
  get terminal(): boolean;
}

/** Keeps a state as long as the page or the process lives. */
export class MemoryState implements StateStore {
  load(): State;
  save(state: State): void;
}

/** Holds the line of one machine. */
export interface Client {
  /** The state of the line now. */
  readonly status: Status;
  /**
   * Resolves after close() or the abort of the signal. Rejects with a Refusal once the gateway has
   * spoken a verdict, with what a handler threw, and if the state could not be saved at the end.
   */
  readonly ended: Promise<void>;
  /**
   * Says goodbye to the gateway, saves the position and ends. It does not wait for a handler that
   * is running: its message is given again to the next run.
   */
  close(): Promise<void>;
}
