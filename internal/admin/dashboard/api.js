// The operators' API, as any program may use it; the browser's session is a cookie that scripts cannot read.

// Problem is a refusal of the gateway (RFC 9457).
export class Problem extends Error {
  constructor(status, body) {
    super(body.detail || body.title || `HTTP ${status}`);
    Object.assign(this, { status, code: body.code ?? '', hint: body.hint ?? '' });
  }
}

// call asks and returns the answer's JSON, or null if it has none.
export async function call(method, path, body, signal) {
  const response = await fetch(path, {
    method,
    signal,
    // A page of another site cannot add a header without asking; the gateway wants this one with a cookie.
    headers: { 'X-Fleetline': 'dashboard', ...(body === undefined ? {} : { 'Content-Type': 'application/json' }) },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const text = await response.text();
  if (response.ok) return text ? JSON.parse(text) : null;
  let problem = {};
  try {
    problem = JSON.parse(text);
  } catch {
    // A proxy in between may answer in its own words.
  }
  if (response.status === 401 && path !== '/login') dispatchEvent(new Event('signedout'));
  throw new Problem(response.status, problem);
}

export const get = (path, signal) => call('GET', path, undefined, signal);

// pathOf fills a path with ids, which may hold anything.
export const pathOf = (strings, ...ids) => strings.reduce((path, part, i) => path + encodeURIComponent(ids[i - 1]) + part);

// watch follows a stream of server-sent events until the signal. A hidden page lets go of it: a browser
// opens few connections to one place, for all its tabs together.
export function watch(path, types, handle, signal) {
  let source = null;
  const follow = () => {
    source?.close();
    source = null;
    if (document.hidden || signal.aborted) return;
    source = new EventSource(path);
    for (const type of types) source.addEventListener(type, (event) => handle(JSON.parse(event.data), event));
  };
  document.addEventListener('visibilitychange', follow, { signal });
  signal.addEventListener('abort', follow);
  follow();
}

export const eventTypes = [
  'machine.enrolled', 'machine.connected', 'machine.disconnected', 'machine.deleted', 'machine.clone_suspected', 'events.lost',
];
