// The client's half of RFC 6455 over node:http, because Node 20 has no WebSocket of its own.
import { createHash, randomBytes } from "node:crypto";
import http from "node:http";
import https from "node:https";

import { LineError } from "./refusal.js";
import { Closed } from "./session.js";

const mostRedirects = 5;

/** Opens a WebSocket. limit bounds the opening only. */
export async function openSocket(url, options, limit) {
  let at = new URL(url.replace(/^ws/, "http"));
  for (let i = 0; ; i++) {
    const { response, socket } = await handshake(at, options, limit);
    if (socket) return new NodeSocket(socket, options.maxFrame);
    const next = redirect(at, response);
    if (!next || i === mostRedirects) throw answer(response);
    at = next;
  }
}

function handshake(url, { headers, tls, agent = false }, signal) {
  const key = randomBytes(16).toString("base64");
  const { request } = url.protocol === "https:" ? https : http;
  return new Promise((resolve, reject) => {
    const asking = request(url, {
      ...tls, agent, signal,
      headers: { ...headers, Connection: "Upgrade", Upgrade: "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": key },
    });
    asking.on("error", reject);
    asking.on("response", (response) => {
      asking.on("error", () => {}); // what comes after the answer means nothing
      response.on("error", () => {});
      asking.destroy();
      resolve({ response });
    });
    asking.on("upgrade", (response, socket, head) => {
      socket.on("error", () => {}); // reads and writes tell it
      if (!accepts(response, key)) {
        socket.destroy();
        return reject(new LineError("the server answered with a handshake that is no WebSocket's"));
      }
      if (head.length > 0) socket.unshift(head);
      resolve({ socket });
    });
    asking.end();
  });
}

function accepts({ statusCode, headers }, key) {
  const proof = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
  return statusCode === 101 && headers["sec-websocket-accept"] === proof &&
    !headers["sec-websocket-extensions"] && !headers["sec-websocket-protocol"];
}

// Keeps the key at the host it was meant for, and under TLS once there.
function redirect(from, { statusCode, headers }) {
  if (statusCode < 300 || statusCode > 399 || !headers.location || !URL.canParse(headers.location, from)) return null;
  const to = new URL(headers.location, from);
  const isSafe = to.hostname === from.hostname && (to.protocol === "https:" || (to.protocol === "http:" && from.protocol === "http:"));
  return isSafe ? to : null;
}

// An HTTP answer that is no WebSocket says nothing about the machine or its key.
function answer({ statusCode, headers }) {
  const seconds = /^\d{1,5}$/.test(headers["retry-after"] ?? "") ? Number(headers["retry-after"]) : 0;
  return new LineError(`the server answered ${statusCode} instead of opening a WebSocket`, { retryAfterMs: 1000 * seconds });
}

const op = { rest: 0x0, text: 0x1, binary: 0x2, close: 0x8, ping: 0x9, pong: 0xa };
const final = 0x80;

class NodeSocket {
  #socket;
  #incoming;
  #maxFrame;
  #chunks = []; // what came and is not taken yet
  #size = 0;
  #decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  /** Why nothing more comes. */
  failed = null;
  /** Is called once failed is set. */
  onEnd = () => {};
  /** When the last byte came. */
  lastByte = performance.now();

  constructor(socket, maxFrame) {
    this.#socket = socket;
    this.#maxFrame = maxFrame;
    this.#incoming = socket[Symbol.asyncIterator]();
    socket.once("close", () => {
      this.failed = new LineError("the connection broke");
      this.onEnd();
    });
    socket.setNoDelay(true);
    socket.setTimeout(0);
  }

  /** The next message: {text, size}; text is undefined for a binary one. It throws Closed. */
  async read() {
    let first = null;
    const parts = [];
    let size = 0;
    for (;;) {
      const { fin, opcode, payload } = await this.#frame(size);
      if (opcode >= op.close) {
        this.#control(opcode, payload);
        continue;
      }
      if ((opcode === op.rest) !== (first !== null)) throw this.#fail(1002, "the WebSocket framing is broken");
      first ??= opcode;
      parts.push(payload);
      size += payload.length;
      if (fin) return first === op.text ? { text: this.#decode(parts), size } : { size };
    }
  }

  /** One frame. soFar counts against the limit, which is checked before memory is taken. */
  async #frame(soFar) {
    const [a, b] = await this.#take(2);
    const fin = (a & final) !== 0;
    const opcode = a & 0x0f;
    const isControl = opcode >= op.close;
    let length = b & 0x7f;
    const isKnown = opcode <= op.binary || (isControl && opcode <= op.pong);
    if (a & 0x70 || b & 0x80 || !isKnown || (isControl && (!fin || length > 125))) {
      throw this.#fail(1002, "the WebSocket framing is broken");
    }
    if (length === 126) length = (await this.#take(2)).readUInt16BE();
    else if (length === 127) length = Number((await this.#take(8)).readBigUInt64BE());
    if (length > this.#maxFrame - soFar) throw this.#fail(1009, "the gateway sent a frame larger than maxFrame");
    return { fin, opcode, payload: await this.#take(length) };
  }

  #control(opcode, payload) {
    if (opcode === op.ping) this.#write(op.pong, payload);
    if (opcode !== op.close) return;
    this.#write(op.close, payload.subarray(0, 2));
    this.#socket.end();
    throw new Closed(payload.length >= 2 ? payload.readUInt16BE() : 1005, payload.subarray(2).toString());
  }

  #decode(parts) {
    try {
      return this.#decoder.decode(parts.length === 1 ? parts[0] : Buffer.concat(parts));
    } catch {
      throw this.#fail(1007, "the gateway sent text that is not UTF-8");
    }
  }

  async #take(n) {
    while (this.#size < n) {
      const { value, done } = await this.#incoming.next();
      if (done) throw new LineError("the connection broke");
      this.lastByte = performance.now();
      this.#chunks.push(value);
      this.#size += value.length;
    }
    const all = this.#chunks.length === 1 ? this.#chunks[0] : Buffer.concat(this.#chunks);
    this.#chunks = [all.subarray(n)];
    this.#size -= n;
    return all.subarray(0, n);
  }

  #fail(code, message) {
    this.#write(op.close, Buffer.from([code >> 8, code & 0xff]));
    this.#socket.end();
    return new LineError(message);
  }

  send(text) {
    this.#write(op.text, Buffer.from(text));
  }

  /** Says that this end leaves; the answer comes by read. */
  close() {
    this.#write(op.close, Buffer.from([1000 >> 8, 1000 & 0xff]));
  }

  cut() {
    this.#socket.destroy();
  }

  // A client's frames are masked (RFC 6455 5.3).
  #write(opcode, payload) {
    const head = [final | opcode];
    if (payload.length < 126) head.push(0x80 | payload.length);
    else head.push(0x80 | 126, payload.length >> 8, payload.length & 0xff);
    const mask = randomBytes(4);
    const masked = Buffer.from(payload.map((byte, i) => byte ^ mask[i % 4]));
    this.#socket.write(Buffer.concat([Buffer.from(head), mask, masked]));
  }
}
