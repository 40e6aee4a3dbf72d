/**
 * The WebSocket address out of what people write: host, host:port, http(s):// or ws(s)://. Without a
 * scheme it is wss, or ws on this very host, at a gateway's default port.
 */
export function endpoint(addr) {
  addr = addr.trim();
  const bare = !addr.includes("://");
  let url;
  try {
    url = new URL(bare ? `wss://${addr}` : addr);
  } catch {
    throw new TypeError("the gateway's address is not a URL"); // the cause quotes it whole
  }
  if (url.username || url.password || url.search || url.hash) {
    throw new TypeError("the gateway's address must not carry user, query or fragment: the key travels in the first frame");
  }
  const schemes = { "ws:": "ws:", "wss:": "wss:", "http:": "ws:", "https:": "wss:" };
  const scheme = schemes[url.protocol];
  if (!scheme) throw new TypeError(`the gateway's address begins with ${url.protocol}, use wss, ws, https or http`);
  let { host } = url;
  if (!bare) return `${scheme}//${host}${url.pathname}`;
  const isLocal = /^(localhost|127(\.\d+){3}|\[::1\])$/.test(url.hostname);
  if (isLocal && !/:\d+$/.test(addr.split("/")[0])) host = `${url.hostname}:5000`;
  return `${isLocal ? "ws:" : "wss:"}//${host}${url.pathname}`;
}
