import { openSocket } from "./browser-socket.js";
import { connectWith } from "./client.js";
import { randomId } from "./identity.js";

export { Refusal } from "./refusal.js";
export { MemoryState } from "./state.js";

/**
 * Opens the line to the gateway at addr and resolves with a Client once the gateway has let the
 * machine in. Until then it goes on trying; what stops it is options.signal, or a verdict.
 */
export function connect(addr, options) {
  return connectWith({ dial: openSocket, info }, addr, options);
}

// A page cannot tell a system from its copy: each page is a boot of its own.
const pageBoot = randomId();

const info = () => ({
  hostname: location.hostname.slice(0, 64),
  os: "browser",
  cpuCores: navigator.hardwareConcurrency,
  bootId: pageBoot,
});

/** Keeps the machine's state in localStorage under this name. Two tabs must not share one. */
export class LocalState {
  #name;

  constructor(name) {
    this.#name = name;
  }

  load() {
    return JSON.parse(localStorage.getItem(this.#name) ?? "{}");
  }

  save(state) {
    localStorage.setItem(this.#name, JSON.stringify(state));
  }
}
