// The protocol's fixed block on ws, tuned as its documents advise: no compression, messages made a
// Buffer once, no tracking of clients by the library.
//
//   node --expose-gc --max-semi-space-size=8 server.js --heartbeat 30s
import http from "node:http";
import { WebSocketServer } from "ws";

const durations = { ms: 1, s: 1000, m: 60000 };

// A duration as Go prints it: 1s, 1m30s, 500ms.
function milliseconds(text) {
  let sum = 0;
  for (const [, n, unit] of text.matchAll(/([0-9.]+)(ms|s|m)/g)) sum += Number(n) * durations[unit];
  return sum || 30000;
}

const heartbeat = milliseconds(process.argv[process.argv.indexOf("--heartbeat") + 1] ?? "30s");
const text = { binary: false };
const ping = Buffer.from('{"type":"ping"}');
const machines = new Map();

function frame(data) {
  return Buffer.concat([Buffer.from('{"type":"data","data":'), data, Buffer.from("}")]);
}

// The listeners are shared by all: a closure for each machine would be memory for each.
function first(bytes) {
  const f = JSON.parse(bytes);
  if (f.type !== "auth" || !f.apiKey) return this.terminate();
  this.id = f.machine.hwid;
  machines.set(this.id, this);
  this.removeListener("message", first);
  this.on("message", pong);
  this.on("close", gone);
  this.send(JSON.stringify({
    type: "auth_success", sessionToken: "none", message: "Authentication successful", machineId: this.id,
  }));
}

function pong(bytes) {
  JSON.parse(bytes);
}

function gone() {
  if (machines.get(this.id) === this) machines.delete(this.id);
}

function broken() {
  this.terminate();
}

const server = http.createServer();
const door = new WebSocketServer({ server, perMessageDeflate: false, clientTracking: false, maxPayload: 65536 });
door.on("connection", (socket) => {
  socket.on("error", broken);
  socket.on("message", first);
});

// Everybody is pinged once a heartbeat, a share of them at a time.
const step = 100;
const shares = Math.max(1, Math.round(heartbeat / step));
let turn = 0;
setInterval(() => {
  let i = 0;
  for (const socket of machines.values()) {
    if (i++ % shares === turn) socket.send(ping, text);
  }
  turn = (turn + 1) % shares;
}, step);

function body(request, then) {
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => then(Buffer.concat(parts)));
}

const control = http.createServer((request, response) => {
  const url = new URL(request.url, "http://control");
  const done = (answer = "") => response.end(answer);
  switch (url.pathname) {
    case "/all":
      return body(request, (data) => {
        const f = frame(data);
        for (const socket of machines.values()) socket.send(f, text);
        done();
      });
    case "/machine":
      return body(request, (data) => {
        machines.get(url.searchParams.get("id"))?.send(frame(data), text);
        done();
      });
    case "/live":
      return done(String(machines.size));
    case "/gc":
      for (let i = 0; i < 4; i++) globalThis.gc();
      return done();
  }
  response.statusCode = 404;
  done();
});

server.listen({ port: 0, host: "127.0.0.1", backlog: 4096 }, () => {
  control.listen(0, "127.0.0.1", () => {
    const at = (s) => `127.0.0.1:${s.address().port}`;
    console.log(JSON.stringify({ machines: at(server), control: at(control), dialect: "fleetline" }));
  });
});
process.on("SIGTERM", () => process.exit(0));
