import { parseFrame } from "./frames.js";
import { LineError, Refusal } from "./refusal.js";

const letInWithinMs = 30_000; // from the dial to the gateway's answer
const goodbyeWithinMs = 1000;
const heartbeatUnlessToldMs = 30_000;

/** A close frame, as sockets throw it. */
export class Closed extends Error {
  constructor(code, reason) {
    super(`closed with ${code}`);
    this.code = code;
    this.reason = reason;
  }
}

/** One live socket, from auth_success to its end. */
export class Session {
  #socket;
  #inbox;
  #identity;
  #over = new AbortController(); // with the reason why the session ended
  #parked = false; // waits for room in the inbox, and takes nothing from the socket
  #complaint = null; // what the gateway complained of last, and until when it asks to stay away
  #silenceMs = 1.5 * heartbeatUnlessToldMs;
  #heartbeatMs = heartbeatUnlessToldMs;
  #guard = null;
  #doubts = false; // the gateway seemed silent when this end looked last
  /** The auth_success. */
  welcome = null;

  constructor({ inbox, identity }) {
    this.#inbox = inbox;
    this.#identity = identity;
  }

  /** Dials and authenticates. dial opens a socket; life is the client's. */
  async open(dial, life) {
    const limit = new AbortController();
    const giveUp = () => limit.abort(life.reason);
    const timer = setTimeout(() => limit.abort(new LineError("the gateway did not let the machine in within 30 s")), letInWithinMs);
    limit.signal.addEventListener("abort", () => this.#socket?.cut());
    life.addEventListener("abort", giveUp);
    if (life.aborted) giveUp();
    try {
      limit.signal.throwIfAborted();
      this.#socket = await dial(limit.signal);
      await this.#authenticate();
    } catch (error) {
      this.#socket?.cut();
      throw limit.signal.aborted ? limit.signal.reason : this.#reasonOf(error);
    } finally {
      clearTimeout(timer);
      life.removeEventListener("abort", giveUp);
    }
  }

  async #authenticate() {
    const asked = this.#inbox.received;
    this.#send(await this.#identity.auth(asked));
    let frame = null;
    while (frame?.type !== "auth_success") {
      frame = parseFrame((await this.#socket.read()).text);
      if (frame) this.#verdict(frame);
    }
    this.welcome = frame;
    if (frame.epoch !== undefined && frame.seq !== undefined) this.#inbox.welcome(frame, asked);
    this.#identity.adopt(frame.sessionToken, frame.expiresAt);
    if (frame.heartbeatSeconds > 0) {
      this.#heartbeatMs = 1000 * Math.min(Math.max(frame.heartbeatSeconds, 0.01), 3600);
      this.#silenceMs = 1.5 * this.#heartbeatMs;
    }
  }

  /** Runs the session. It never returns: it throws why the session ended. */
  async serve(life) {
    const leave = () => this.#goodbye(life.reason);
    life.addEventListener("abort", leave);
    if (life.aborted) leave();
    this.#socket.onEnd = () => this.#parked && this.#giveUp();
    this.#watch();
    try {
      for (;;) {
        const message = await this.#socket.read();
        const frame = parseFrame(message.text);
        if (!frame) continue;
        this.#verdict(frame); // also one that comes while this end says goodbye
        if (!this.#over.signal.aborted) await this.#handle(frame, message.size);
      }
    } catch (error) {
      const reason = this.#reasonOf(error);
      throw this.#over.signal.aborted && !reason.terminal ? this.#over.signal.reason : reason;
    } finally {
      this.#over.abort();
      clearTimeout(this.#guard);
      life.removeEventListener("abort", leave);
      this.#socket.cut();
    }
  }

  async #handle(frame, size) {
    switch (frame.type) {
      case "ping":
        if (frame.seq !== undefined) this.#inbox.reach(frame.seq);
        return this.#pong();
      case "data":
        return this.#deliver(frame, size);
      case "gap":
        if (frame.seq !== undefined) this.#inbox.gap(frame.seq);
        return;
      case "token":
        this.#identity.adopt(frame.sessionToken, frame.expiresAt);
    }
  }

  // A program that is slow slows the gateway down and nothing else.
  async #deliver(frame, size) {
    while (!this.#inbox.put(frame, size)) {
      if (this.#socket.failed) return this.#giveUp();
      this.#parked = true;
      await this.#inbox.changed(this.#over.signal);
      this.#parked = false;
      this.#socket.lastByte = performance.now(); // nothing came because nothing was read
      if (this.#over.signal.aborted) return;
    }
  }

  // A parked reader would not learn that its socket has ended. What it leaves there unread is asked
  // for again.
  #giveUp() {
    this.#over.abort(this.#reasonOf(this.#socket.failed));
  }

  // A complaint alone ends nothing, but the close that may follow is explained by it.
  #verdict(frame) {
    switch (frame.type) {
      case "machine_deleted":
        throw Refusal.deleted();
      case "auth_failed":
        throw Refusal.ofAuthFailed(frame);
      case "error":
        this.#complaint = {
          code: frame.code ?? "",
          message: frame.message ?? "",
          until: performance.now() + (frame.retryAfterMs ?? 0),
        };
    }
  }

  #reasonOf(error) {
    if (error instanceof Closed) return Refusal.ofClose(error.code, error.reason, this.#complaint);
    if (error instanceof Refusal || error instanceof LineError) return error;
    return new LineError(`the connection broke: ${error.message}`, { cause: error });
  }

  #send(frame) {
    this.#socket.send(JSON.stringify(frame));
  }

  #pong() {
    const at = this.#inbox.processed;
    const epoch = this.welcome.epoch;
    this.#send({ type: "pong", seq: at && epoch === at.epoch ? at.seq : undefined });
  }

  // Ends the session when the gateway is silent. While the reader is parked it cannot be: then this
  // sends the pongs that the reader cannot, so that the gateway does not find this end silent.
  #watch() {
    const look = this.#heartbeatMs / 2;
    if (this.#parked) {
      this.#pong();
      return this.#lookAgain(look);
    }
    const left = this.#silenceMs - (performance.now() - this.#socket.lastByte);
    if (left > 0) {
      this.#doubts = false;
      return this.#lookAgain(Math.min(left, look));
    }
    if (!this.#doubts) { // a process that was stopped finds what came meanwhile only after its timers
      this.#doubts = true;
      return this.#lookAgain(50);
    }
    this.#over.abort(new LineError("the gateway was silent for one and a half heartbeats"));
    this.#socket.cut();
  }

  #lookAgain(ms) {
    this.#guard = setTimeout(() => this.#watch(), ms);
  }

  #goodbye(reason) {
    if (this.#over.signal.aborted) return;
    this.#over.abort(reason);
    this.#send({ type: "disconnect" });
    this.#socket.close();
    clearTimeout(this.#guard);
    this.#guard = setTimeout(() => this.#socket.cut(), goodbyeWithinMs);
  }
}
