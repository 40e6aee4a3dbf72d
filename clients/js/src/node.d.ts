import type { Agent } from "node:http";
import type { SecureContextOptions, ConnectionOptions } from "node:tls";
import type { Client, Options, State, StateStore } from "./types.js";

export * from "./types.js";

export interface NodeOptions extends Options {
  /** Sent with the WebSocket handshake, for proxies that ask for one. */
  headers?: Record<string, string>;
  /** For wss: an own ca, a client's cert and key. */
  tls?: SecureContextOptions & Pick<ConnectionOptions, "servername" | "rejectUnauthorized">;
  /** Opens the network connection: the way through an HTTP proxy. */
  agent?: Agent;
  /** The largest message taken from the gateway, in bytes; 1048576 unless it is told. */
  maxFrame?: number;
}

/**
 * Opens the line to the gateway at addr (host, host:port, ws(s):// or http(s)://; without a scheme it
 * is wss, or ws on a loopback address). It resolves once the gateway has let the machine in, and
 * rejects with a verdict, with the signal's reason, or with what is wrong with the options.
 */
export function connect(addr: string, options: NodeOptions): Promise<Client>;

/** Keeps a state in a file of mode 0600, the one that the Go SDK keeps. */
export class FileState implements StateStore {
  constructor(name: string);
  load(): Promise<State>;
  save(state: State): Promise<void>;
}
