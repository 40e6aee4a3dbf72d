import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import http from "node:http";
import os from "node:os";
import path from "node:path";
import { test } from "node:test";

import { connect, MemoryState, Refusal } from "@fleetline/client";
import { bootId } from "../src/boot.js";
import { endpoint } from "../src/endpoint.js";

test("addresses are taken as people write them", () => {
  const made = {
    "gateway.example.com": "wss://gateway.example.com/",
    "gateway.example.com:8443": "wss://gateway.example.com:8443/",
    "https://gateway.example.com/ws": "wss://gateway.example.com/ws",
    "http://10.0.0.7:5000": "ws://10.0.0.7:5000/",
    " wss://gateway.example.com ": "wss://gateway.example.com/",
    localhost: "ws://localhost:5000/",
    "127.0.0.1:6000": "ws://127.0.0.1:6000/",
    "[::1]": "ws://[::1]:5000/",
  };
  for (const [addr, url] of Object.entries(made)) assert.equal(endpoint(addr), url);
});

test("addresses that could carry a secret, or none at all, are refused without being quoted", () => {
  for (const addr of ["", "wss://flk_key@host", "wss://host/?key=flk_key", "ftp://host", "wss://host#flk_key", "wss://"]) {
    assert.throws(() => endpoint(addr), (error) => error instanceof TypeError && !error.message.includes("flk_"), addr);
  }
});

test("wrong options are refused at once", async () => {
  await assert.rejects(connect("127.0.0.1:1", { apiKey: "flk_key" }), /onMessage/);
  await assert.rejects(connect("127.0.0.1:1", { onMessage() {} }), /no API key/);
  await assert.rejects(connect("127.0.0.1:1", { apiKey: " \n", onMessage() {} }), /no API key/);
});

test("an aborted signal ends the connecting with its reason", async () => {
  const reason = new Error("enough");
  await assert.rejects(connect("127.0.0.1:1", { apiKey: "k", onMessage() {}, signal: AbortSignal.abort(reason) }), reason);
  const later = new AbortController();
  const onStatus = ({ phase }) => phase === "waiting" && later.abort(reason);
  await assert.rejects(connect("127.0.0.1:1", { apiKey: "k", onMessage() {}, onStatus, signal: later.signal }), reason);
});

test("only 4500 to 4999 and their words are terminal", () => {
  for (const close of [1000, 1006, 4000, 4007, 4499, 5000]) assert.equal(new Refusal({ close }).terminal, false, String(close));
  for (const close of [4500, 4501, 4503, 4777, 4999]) assert.equal(new Refusal({ close }).terminal, true, String(close));
  for (const code of ["machine_deleted", "bad_key", "protocol"]) assert.equal(new Refusal({ code }).terminal, true, code);
});

test("a boot id tells two systems apart and names neither", async (t) => {
  const dir = await mkdtemp(path.join(os.tmpdir(), "fleetline-"));
  t.after(() => rm(dir, { recursive: true }));
  const file = path.join(dir, "boot_id");
  const id = "6d0f4a5e-0c39-4c2f-9e7c-3d3f1f6f5b7a";
  await writeFile(file, `${id}\n`);
  const made = await bootId("hwid", file);
  // What the Go SDK makes of the same system: the file as it is, and the hwid.
  assert.equal(made, createHash("sha256").update(`${id}\nhwid`).digest("hex").slice(0, 32));
  assert.notEqual(await bootId("another", file), made);
  await writeFile(file, "a later boot\n");
  assert.notEqual(await bootId("hwid", file), made);
});

test("without a boot id of the system it is the process that is told apart", async () => {
  const made = await bootId("hwid", "/nowhere/boot_id");
  assert.match(made, /^[0-9a-f]{32}$/);
  assert.equal(await bootId("hwid", "/nowhere/boot_id"), made);
  assert.notEqual(made, createHash("sha256").update("hwid").digest("hex").slice(0, 32));
});

test("the first frame carries the boot id, and one that the program says wins", async () => {
  for (const said of [{}, { bootId: "said" }]) {
    const { machine } = await firstFrame({ apiKey: "flk_key", state: new MemoryState(), machine: { hwid: "hwid", ...said }, onMessage() {} });
    assert.equal(machine.bootId, said.bootId ?? (await bootId("hwid")));
    assert.equal(machine.hwid, "hwid");
  }
});

// What a client says first to a server that never answers.
async function firstFrame(options) {
  const leaving = new AbortController();
  const server = http.createServer().listen(0, "127.0.0.1");
  const frame = new Promise((resolve) => {
    server.on("upgrade", ({ headers }, socket) => {
      const proof = createHash("sha1").update(`${headers["sec-websocket-key"]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
      socket.write(`HTTP/1.1 101 \r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ${proof}\r\n\r\n`);
      socket.once("data", (bytes) => resolve(unmask(bytes)));
      socket.on("error", () => {});
      leaving.signal.addEventListener("abort", () => socket.destroy());
    });
  });
  await new Promise((resolve) => server.once("listening", resolve));
  const ended = connect(`ws://127.0.0.1:${server.address().port}`, { ...options, signal: leaving.signal });
  const said = JSON.parse(await frame);
  leaving.abort();
  await assert.rejects(ended);
  server.close();
  return said;
}

// unmask reads a frame of 126 to 65535 bytes (RFC 6455, 5.2).
function unmask(bytes) {
  assert.equal(bytes[1], 0x80 | 126);
  const mask = bytes.subarray(4, 8);
  return Buffer.from(bytes.subarray(8).map((b, i) => b ^ mask[i % 4])).toString();
}
