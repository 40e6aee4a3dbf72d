// The browser's WebSocket, made to be read when its reader wants to.
import { LineError } from "./refusal.js";
import { Closed } from "./session.js";

// A browser goes on receiving while nobody reads. More than this ends the connection: what was not
// taken is asked for again, once there is room.
const mostMessages = 512;
const mostChars = 8 << 20;

/** Opens a WebSocket. limit bounds the opening only. */
export function openSocket(url, _options, limit) {
  return new Promise((resolve, reject) => {
    const ws = new WebSocket(url);
    const socket = new BrowserSocket(ws);
    limit.addEventListener("abort", () => {
      socket.cut();
      reject(limit.reason);
    });
    ws.onopen = () => resolve(socket);
    ws.onerror = () => reject(new LineError("the WebSocket does not open"));
  });
}

class BrowserSocket {
  #ws;
  #queue = [];
  #chars = 0;
  #wake = () => {};
  /** Why nothing more comes. */
  failed = null;
  /** Is called once failed is set. */
  onEnd = () => {};
  lastByte = performance.now();

  constructor(ws) {
    this.#ws = ws;
    ws.binaryType = "arraybuffer";
    ws.onmessage = ({ data }) => this.#put(data);
    ws.onclose = ({ code, reason }) => this.#over(code === 1006 ? new LineError("the connection broke") : new Closed(code, reason));
  }

  /** The next message: {text, size}; text is undefined for a binary one. It throws Closed. */
  async read() {
    while (this.#queue.length === 0) {
      if (this.failed) throw this.failed;
      await new Promise((resolve) => (this.#wake = resolve));
    }
    const message = this.#queue.shift();
    this.#chars -= message.size;
    return message;
  }

  #put(data) {
    if (this.failed) return;
    this.lastByte = performance.now();
    const message = typeof data === "string" ? { text: data, size: data.length } : { size: 0 };
    this.#queue.push(message);
    this.#chars += message.size;
    if (this.#queue.length > mostMessages || (this.#chars > mostChars && this.#queue.length > 1)) {
      this.#queue.pop();
      this.#over(Object.assign(new LineError("the program is slower than what comes"), { overrun: true }));
      this.#ws.close();
    }
    this.#wake();
  }

  #over(reason) {
    if (this.failed) return;
    this.failed = reason;
    this.#wake();
    this.onEnd();
  }

  send(text) {
    if (this.#ws.readyState === WebSocket.OPEN) this.#ws.send(text);
  }

  /** Says that this end leaves; the answer comes by read. */
  close() {
    this.#ws.close(1000);
  }

  cut() {
    this.#queue = [];
    this.#over(new LineError("the connection was cut"));
    this.#ws.close();
  }
}
