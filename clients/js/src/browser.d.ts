import type { Client, Options, State, StateStore } from "./types.js";

export * from "./types.js";

/**
 * Opens the line to the gateway at addr (host, host:port, ws(s):// or http(s)://; without a scheme it
 * is wss, or ws on a loopback address). It resolves once the gateway has let the machine in, and
 * rejects with a verdict, with the signal's reason, or with what is wrong with the options.
 */
export function connect(addr: string, options: Options): Promise<Client>;

/** Keeps a state in localStorage under this name. Two tabs must not share one. */
export class LocalState implements StateStore {
  constructor(name: string);
  load(): State;
  save(state: State): void;
}
