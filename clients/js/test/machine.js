// The client as the program that clients/conformance checks, under Node.
import path from "node:path";

import { connect, FileState } from "@fleetline/client";

const say = (event) => process.stdout.write(`${JSON.stringify(event)}\n`);
const leaving = new AbortController();
process.once("SIGTERM", () => leaving.abort());
process.once("SIGINT", () => leaving.abort());

// hold takes as long over a message as the message says.
const hold = (data) => new Promise((resolve) => setTimeout(resolve, data?.holdMs ?? 0));

async function follow() {
  const client = await connect(process.env.FLEETLINE_SERVER, {
    apiKey: process.env.FLEETLINE_API_KEY,
    state: new FileState(path.join(process.env.FLEETLINE_STATE_DIR, "state.json")),
    signal: leaving.signal,
    onStatus: ({ phase }) => say({ event: "state", state: phase }),
    onGap: ({ until }) => say({ event: "gap", seq: until.seq }),
    onMessage: async ({ position, id, data }) => {
      say({ event: "data", seq: position?.seq, id, data });
      if (data?.holdMs) await hold(data);
    },
  });
  await client.ended;
}

const exitCodes = { machine_deleted: 3, bad_key: 4 };

try {
  await follow();
  say({ event: "end", code: "closed" });
} catch (error) {
  const code = leaving.signal.aborted ? "closed" : (error.code ?? "failure");
  say({ event: "end", code });
  process.exitCode = leaving.signal.aborted ? 0 : (exitCodes[code] ?? 1);
}
process.exit();
