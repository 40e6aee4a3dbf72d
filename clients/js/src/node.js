import { open, mkdir, readFile, rename, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { randomBytes } from "node:crypto";

import { bootId } from "./boot.js";
import { connectWith } from "./client.js";
import { openSocket } from "./node-socket.js";

export { Refusal } from "./refusal.js";
export { MemoryState } from "./state.js";

const maxDown = 1 << 20;

/**
 * Opens the line to the gateway at addr and resolves with a Client once the gateway has let the
 * machine in. Until then it goes on trying; what stops it is options.signal, or a verdict.
 */
export function connect(addr, options) {
  return connectWith({ dial: openSocket, info }, addr, { maxFrame: maxDown, ...options });
}

const info = async (hwid) => ({
  hostname: os.hostname().slice(0, 64),
  os: process.platform,
  arch: process.arch,
  cpuCores: os.availableParallelism(),
  ramBytes: os.totalmem(),
  bootId: await bootId(hwid),
});

/**
 * Keeps the machine's state in a file that its owner alone can read. A save replaces the file in one
 * step. It is the file that the Go SDK keeps, so a machine may change its language.
 */
export class FileState {
  #name;

  constructor(name) {
    this.#name = name;
  }

  async load() {
    let text;
    try {
      text = await readFile(this.#name, "utf8");
    } catch (error) {
      if (error.code === "ENOENT") return {};
      throw error;
    }
    try {
      return text ? JSON.parse(text) : {};
    } catch {
      throw new Error(`${this.#name} is not a state file`); // the cause may quote the key
    }
  }

  async save(state) {
    const dir = path.dirname(this.#name);
    await mkdir(dir, { recursive: true, mode: 0o700 });
    const next = `${this.#name}.${randomBytes(6).toString("hex")}.tmp`;
    try {
      const file = await open(next, "wx", 0o600);
      try {
        await file.writeFile(`${JSON.stringify(state, null, "\t")}\n`);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(next, this.#name);
    } catch (error) {
      await rm(next, { force: true });
      throw error;
    }
  }
}
