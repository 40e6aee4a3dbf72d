// A machine that knows only the fixed block of the protocol: it authenticates, answers pings, takes
// data and is told of its deletion. It prints every frame it gets, as it came, and the close code.
//
//   FLEETLINE_API_KEY=... node client.js ws://127.0.0.1:5000
import WebSocket from "ws";

const socket = new WebSocket(process.argv[2]);
const say = (word, text) => process.stdout.write(`${word} ${text}\n`);

socket.on("open", () => {
  socket.send(JSON.stringify({ type: "auth", apiKey: process.env.FLEETLINE_API_KEY }));
});

socket.on("message", (frame) => {
  say("frame", frame);
  if (JSON.parse(frame).type === "ping") {
    socket.send(JSON.stringify({ type: "pong" }));
  }
});

socket.on("close", (code) => say("close", code));

socket.on("error", (error) => {
  say("error", error.message);
  process.exitCode = 1;
});
