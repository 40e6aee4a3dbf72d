// Frames from the gateway, read as wire/SPEC.md says: what is not understood is null, and skipped.

const isText = (v) => v === undefined || typeof v === "string";
const isCount = (v) => v === undefined || (Number.isSafeInteger(v) && v >= 0);
const isNumber = (v) => v === undefined || typeof v === "number";
const isFlag = (v) => v === undefined || typeof v === "boolean";
const isTime = (v) => v === undefined || (typeof v === "string" && !Number.isNaN(Date.parse(v)));

const fields = {
  auth_success: {
    sessionToken: isText, machineId: isText, sessionId: isText, expiresAt: isTime, heartbeatSeconds: isNumber,
    seq: isCount, epoch: isText, recovered: isFlag,
  },
  auth_failed: { message: isText, code: isText, retryAfterMs: isCount },
  error: { message: isText, code: isText, retryAfterMs: isCount },
  ping: { seq: isCount },
  data: { seq: isCount, id: isText },
  gap: { seq: isCount },
  token: { sessionToken: isText, expiresAt: isTime },
  machine_deleted: { message: isText },
};

/** The frame with its known fields, or null. A field that is null counts as not sent. */
export function parseFrame(text) {
  let sent;
  try {
    sent = JSON.parse(text);
  } catch {
    return null;
  }
  if (sent === null || typeof sent !== "object" || !Object.hasOwn(fields, sent.type)) return null;
  const frame = { type: sent.type };
  for (const [name, isGood] of Object.entries(fields[sent.type])) {
    const value = Object.hasOwn(sent, name) ? (sent[name] ?? undefined) : undefined;
    if (!isGood(value)) return null;
    frame[name] = value;
  }
  if (sent.type === "data") frame.data = sent.data ?? null;
  return frame;
}
