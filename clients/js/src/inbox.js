// Bounds of what is received but not yet taken by the program. One message is always let in.
const mostMessages = 256;
const mostBytes = 4 << 20;

/**
 * Lies between the gateway and the program. It has two positions: received, from which a new
 * session goes on, and processed, which only the program moves and which outlives the process.
 * A position is null or {epoch, seq}.
 */
export class Inbox {
  #queue = []; // {message} or {gap}, each with size and upTo: where the machine stands after it
  #bytes = 0;
  #held = null; // the item that the program has and has not finished
  #waiting = new Set();

  constructor(at, onMoved) {
    this.received = at;
    this.processed = at;
    this.onMoved = onMoved;
  }

  /** Takes a session's starting point. asked is the position that was sent with auth. */
  welcome({ epoch, seq, recovered }, asked) {
    const at = { epoch, seq };
    if (!asked) this.#reach(at);
    else if (!recovered) this.#gap(at);
    else if (asked.epoch !== epoch) this.#reach(at);
  }

  /**
   * Lets a message in and tells whether that is settled: false means that there is no room. A
   * message that came before is dropped here, so nothing is delivered twice.
   */
  put({ seq, id, data }, size) {
    const stored = seq > 0 && this.received !== null;
    if (stored && seq <= this.received.seq) return true;
    if (this.isFull(size)) return false;
    if (stored) this.received = { epoch: this.received.epoch, seq };
    this.#push({ message: { data, id, position: stored ? this.received : undefined }, size });
    return true;
  }

  isFull(size = 0) {
    const n = this.#queue.length;
    return n > 0 && (n >= mostMessages || this.#bytes + size > mostBytes);
  }

  /** Notes that everything up to seq is gone. */
  gap(seq) {
    if (this.received && seq > this.received.seq) this.#gap({ epoch: this.received.epoch, seq });
  }

  /** Notes that everything up to seq has come in. */
  reach(seq) {
    if (this.received && seq > this.received.seq) this.#reach({ epoch: this.received.epoch, seq });
  }

  /** The oldest item; undefined if there is none. */
  take() {
    const item = this.#queue.shift();
    if (item) {
      this.#bytes -= item.size;
      this.#held = item;
      this.#wake();
    }
    return item;
  }

  /** Says that the program has processed what it took last. */
  done() {
    const item = this.#held;
    this.#held = null;
    if (item) this.#process(item.upTo);
  }

  /** Resolves when something was put in or taken out, or when signal aborts. */
  changed(signal) {
    return new Promise((resolve) => {
      const wake = () => {
        this.#waiting.delete(wake);
        signal.removeEventListener("abort", wake);
        resolve();
      };
      if (signal.aborted) return resolve();
      this.#waiting.add(wake);
      signal.addEventListener("abort", wake);
    });
  }

  #wake() {
    for (const wake of [...this.#waiting]) wake();
  }

  // Neighbours are merged, so a program that stands still makes no heap of them.
  #gap(until) {
    const after = this.received;
    this.received = until;
    const last = this.#queue.at(-1);
    if (last?.gap) {
      last.gap = { after: last.gap.after, until };
      last.upTo = until;
    } else {
      this.#push({ gap: { after, until }, size: 0 });
    }
  }

  // Moves received and, behind what the program has yet to process, processed.
  #reach(at) {
    this.received = at;
    const last = this.#queue.at(-1) ?? this.#held;
    if (last) last.upTo = at;
    else this.#process(at);
  }

  #push(item) {
    item.upTo = this.received;
    this.#queue.push(item);
    this.#bytes += item.size;
    this.#wake();
  }

  #process(at) {
    this.processed = at;
    this.onMoved();
  }
}
