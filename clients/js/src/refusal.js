const wordOf = {
  1002: "bad_frame", 1003: "not_text", 1007: "bad_frame", 1009: "too_big", 1012: "drain",
  4000: "auth_timeout", 4001: "silent", 4002: "rate_limited", 4003: "too_many_connections",
  4004: "directory_unavailable", 4005: "bad_token", 4006: "backlog_too_old", 4007: "held",
  4500: "machine_deleted", 4501: "bad_key", 4503: "protocol",
};

const terminal = new Set(["machine_deleted", "bad_key", "protocol"]);

/** What the gateway said when it refused or ended a session. */
export class Refusal extends Error {
  constructor({ code = "", close = 0, message = "", retryAfterMs = 0 }) {
    super(printable(message || code) || `the gateway closed with ${close}`);
    this.name = "Refusal";
    this.code = code;
    this.close = close;
    this.retryAfterMs = retryAfterMs;
  }

  /** Coming back as the same machine with the same key is of no use. */
  get terminal() {
    return (this.close >= 4500 && this.close <= 4999) || terminal.has(this.code);
  }

  /** Reads a close frame, and the complaint that came before it. */
  static ofClose(close, reason, complaint) {
    const code = wordOf[close] ?? "";
    const explains = complaint && (complaint.code === code || reason.startsWith(complaint.code));
    const asked = /; *retryAfterMs=(\d{1,15})(;|$)/.exec(reason);
    return new Refusal({
      code,
      close,
      message: explains ? complaint.message : code && reason.startsWith(code) ? code : reason,
      retryAfterMs: Math.max(asked ? Number(asked[1]) : 0, complaint ? complaint.until - performance.now() : 0),
    });
  }

  /**
   * Reads auth_failed. A gateway that knows only the fixed block names no code; its one fixed text
   * is a verdict, other words are not.
   */
  static ofAuthFailed({ code, message, retryAfterMs }) {
    return new Refusal({ code: code || (message === "Invalid API Key" ? "bad_key" : ""), message, retryAfterMs });
  }

  static deleted() {
    return new Refusal({ code: "machine_deleted", message: "Your machine has been deleted. Please re-authenticate." });
  }
}

// Keeps a remote's words from moving the cursor of the terminal they are shown on.
const printable = (text) => text.replace(/\p{C}/gu, " ").slice(0, 200);

/** A network or an end of ours; retryAfterMs is what a proxy asks for. */
export class LineError extends Error {
  constructor(message, { cause, retryAfterMs = 0 } = {}) {
    super(message, { cause });
    this.name = "LineError";
    this.retryAfterMs = retryAfterMs;
  }
}
