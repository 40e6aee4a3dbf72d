import { LineError, Refusal } from "./refusal.js";

const version = 1;
const mostKeyBytes = 4096;

/** Makes the first frame of each session: who this machine is and how it proves it. */
export class Identity {
  #apiKey;
  #keeper;
  #machine; // says what is known of the machine; null: the account's default machine
  #token = null; // {text, expires, key}
  #byToken = false; // the session of now was opened with a token
  #key = "";

  constructor({ apiKey, keeper, machine }) {
    this.#apiKey = apiKey;
    this.#keeper = keeper;
    this.#machine = machine;
  }

  /** Reads the key and tells at once when it is the one this machine was deleted with. */
  async prepare() {
    this.#key = await this.#readKey();
    const { deletedWith } = this.#keeper.state;
    if (deletedWith && deletedWith === (await this.digest())) throw Refusal.deleted();
  }

  /** The first frame: with the token while one is good for the key of now, and no key then. */
  async auth(at) {
    const { machineId, hwid } = this.#keeper.state;
    const token = this.#token;
    this.#byToken = token !== null && token.key === this.#key && Date.now() < token.expires;
    if (!this.#byToken) this.#token = null;
    return {
      type: "auth",
      ...(this.#byToken ? { sessionToken: token.text } : { apiKey: this.#key }),
      v: version,
      machineId,
      machine: this.#machine ? { ...(await this.#machine(hwid)), hwid } : undefined,
      lastSeq: at?.seq,
      epoch: at?.epoch,
    };
  }

  /** Takes a fresh token. */
  adopt(text, expiresAt) {
    if (text && expiresAt) this.#token = { text, expires: Date.parse(expiresAt), key: this.#key };
  }

  /**
   * Tells whether there is something else to come with than what was refused: the key instead of a
   * token, or the key that can be read by now.
   */
  async another({ code }) {
    if (code === "bad_token" || code === "bad_key") this.#token = null;
    if (code !== "bad_key") return false;
    if (this.#byToken) return true;
    try {
      return (await this.#readKey()) !== this.#key;
    } catch {
      return false;
    }
  }

  /** What is kept of the key once the machine is deleted. */
  async digest() {
    const sum = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(this.#key));
    return hex(new Uint8Array(sum));
  }

  async #readKey() {
    const given = this.#apiKey ?? this.#keeper.state.apiKey;
    try {
      return cleanKey(typeof given === "function" ? await given() : given);
    } catch (cause) {
      throw new LineError("reading the API key", { cause });
    }
  }
}

/** Takes off the white space that files and shells add. */
export function cleanKey(key) {
  const clean = typeof key === "string" ? key.trim() : "";
  if (!clean) throw new TypeError("there is no API key");
  if (clean.length > mostKeyBytes) throw new TypeError(`the API key is longer than ${mostKeyBytes} bytes`);
  return clean;
}

/** What tells a machine from others with the same key. It is random: images share a machine-id. */
export const randomId = () => hex(crypto.getRandomValues(new Uint8Array(16)));

const hex = (bytes) => Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
