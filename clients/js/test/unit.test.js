import assert from "node:assert/strict";
import { test } from "node:test";

import { connect, Refusal } from "@fleetline/client";
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
