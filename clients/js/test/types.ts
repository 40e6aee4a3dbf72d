// Uses everything that the type declarations promise. It is compiled, never run.
import { connect, FileState, MemoryState, Refusal, type Client, type NodeOptions, type StateStore } from "@fleetline/client";
import { connect as connectPage, LocalState, type Options } from "../src/browser.js";

const options: NodeOptions = {
  apiKey: async () => "flk_...",
  state: new FileState("/var/lib/agent/fleetline.json"),
  machine: { version: "1.4.0", bootId: "b" },
  headers: { "X-Proxy": "1" },
  tls: { ca: "-----BEGIN CERTIFICATE-----" },
  maxFrame: 4 << 20,
  signal: AbortSignal.timeout(1000),
  onMessage: async ({ data, id, position }, signal) => {
    const seq: number | undefined = position?.seq;
    console.log(data, id, seq, signal.aborted);
  },
  onGap: ({ after, until }) => console.log(after.seq, until.seq),
  onStatus: (status) => {
    if (status.phase === "waiting") console.log(status.delayMs, status.reason.message);
  },
};
const client: Client = await connect("gateway.example.com", options);
try {
  await client.ended;
} catch (error) {
  if (error instanceof Refusal && error.terminal) console.log(error.code, error.close, error.retryAfterMs);
}
await client.close();

const ownStore: StateStore = { load: () => ({}), save: (state) => console.log(state.machineId) };
const page: Options = { apiKey: "flk_...", state: new LocalState("line"), onMessage: () => {} };
await connectPage("gateway.example.com", { ...page, state: ownStore });
await connectPage("gateway.example.com", { ...page, state: new MemoryState() });

// @ts-expect-error there must be somebody who takes the messages
await connect("gateway.example.com", { apiKey: "flk_..." });
// @ts-expect-error a message's data may be anything: it has to be looked at first
const wrong: Options = { onMessage: ({ data }) => data.text };
void wrong;
