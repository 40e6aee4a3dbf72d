const firstMs = 1000;
const longestMs = 60_000;
const stableMs = 60_000; // a session that lived so long makes the waits small again
const askedAtMostMs = 3_600_000;

/**
 * Chooses the waits: full jitter from the first attempt on, because what ended this line has
 * probably ended the whole fleet's.
 */
export class Backoff {
  #ceiling = firstMs;

  /** How long to wait after a session of livedMs; what the gateway asks for comes first. */
  next(livedMs, askedMs) {
    if (livedMs >= stableMs) this.#ceiling = firstMs;
    const wait = Math.min(Math.max(askedMs, 0), askedAtMostMs) + Math.random() * this.#ceiling;
    this.#ceiling = Math.min(2 * this.#ceiling, longestMs);
    return wait;
  }
}

/** Resolves after ms, or when signal aborts. */
export function sleep(ms, signal) {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const wake = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", wake);
      resolve();
    };
    const timer = setTimeout(wake, ms);
    signal.addEventListener("abort", wake);
  });
}
