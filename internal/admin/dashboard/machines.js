import { h, replace } from './dom.js';
import { eventTypes, get, watch } from './api.js';
import { ago, count, t, when } from './words.js';
import { dot, linkTo, refusal, titleOf } from './parts.js';

const page = 100;

export async function machines(main, signal) {
  let query = { q: '', online: '' };
  let asked = null; // the question under way: a newer one ends it
  const rows = new Map(); // id -> the row that shows it
  const body = h('tbody', {});
  const below = h('div', {});
  const total = h('span.soft', {});

  const search = h('input', { type: 'search', placeholder: t('search'), 'aria-label': t('search'), oninput: soon(() => ask({ ...query, q: search.value.trim() }), signal) });
  const presence = h('select', { 'aria-label': t('online'), onchange: () => ask({ ...query, online: presence.value }) },
    [['', 'all'], ['true', 'online'], ['false', 'offline']].map(([value, name]) => h('option', { value }, t(name))));
  const head = ['', 'name', 'account', 'system', 'version', 'lastSeen'].map((name) =>
    h(['account', 'system', 'version'].includes(name) ? 'th.wide' : 'th', {}, name && t(name)));
  replace(main,
    h('div.head', {}, h('h1', {}, t('machines')), total),
    h('div.row', {}, h('div.grow', {}, search), presence),
    h('div.card', {}, h('div.scroll', {}, h('table', {}, h('thead', {}, h('tr', {}, head)), body)), below));

  const add = (list) => {
    for (const m of list) {
      const row = rowOf(m);
      rows.get(m.id)?.remove();
      rows.set(m.id, row);
      body.append(row);
    }
  };
  const load = async (cursor) => {
    asked?.abort();
    asked = new AbortController();
    const parameters = new URLSearchParams({ limit: page });
    for (const [name, value] of Object.entries({ ...query, cursor })) if (value) parameters.set(name, value);
    try {
      const found = await get('/v1/machines?' + parameters, asked.signal);
      if (!cursor) {
        rows.clear();
        replace(body);
      }
      add(found.machines);
      replace(below, found.next ? h('button', { style: 'margin-top: .8rem', onclick: () => load(found.next) }, t('more')) : rows.size ? null : nobody(query));
    } catch (problem) {
      if (problem.name !== 'AbortError') replace(below, refusal(problem));
    }
  };
  const ask = (q) => {
    query = q;
    return load('');
  };
  const showTotal = async () => {
    const stats = await get('/v1/stats', signal).catch(() => null);
    if (stats) replace(total, `${count(stats.machinesOnline)} ${t('online').toLowerCase()}`);
  };

  // What changes is asked for anew, a few times a second at most: thousands may come at once.
  const changed = new Set();
  const refresh = soon(async () => {
    const ids = [...changed].filter((id) => rows.has(id)).slice(0, page);
    const isNew = [...changed].some((id) => !rows.has(id));
    changed.clear();
    await Promise.all([showTotal(), ...ids.slice(0, 20).map(async (id) => {
      const m = await get(`/v1/machines/${encodeURIComponent(id)}?why=false`, signal).catch((problem) => problem);
      const row = rows.get(id);
      if (!row) return;
      if (m.code === 'machine_not_found') {
        row.remove();
        rows.delete(id);
      } else if (!(m instanceof Error)) {
        const fresh = rowOf(m);
        row.replaceWith(fresh);
        rows.set(id, fresh);
      }
    })]);
    if (isNew && rows.size < page) await load('');
  }, signal, 500);
  watch('/v1/events', eventTypes, (event) => {
    if (event.machineId) changed.add(event.machineId);
    refresh();
  }, signal);
  signal.addEventListener('abort', () => asked?.abort());
  await Promise.all([showTotal(), load('')]);
}

function rowOf(m) {
  return h('tr', { 'data-machine': m.id },
    h('td.tight', {}, dot(m.online)),
    h('td', {}, linkTo(m.id, titleOf(m)), m.name || m.hostname ? h('div.soft', {}, h('code', {}, m.id)) : null),
    h('td.wide', {}, h('code', {}, m.accountId)),
    h('td.wide', {}, [m.os, m.arch].filter(Boolean).join(' ')),
    h('td.wide', {}, m.version ?? ''),
    h('td.tight', { title: when(m.lastSeenAt) }, m.online ? t('now') : ago(m.lastSeenAt)));
}

function nobody(query) {
  if (query.q || query.online) return h('p.empty', {}, t('noMachines'));
  return h('p.empty', {}, t('noMachineYet'), ' ', h('code', {}, 'fleetline connect'));
}

// soon calls f once, a little after the last of many calls.
function soon(f, signal, delay = 200) {
  let timer = 0;
  signal.addEventListener('abort', () => clearTimeout(timer));
  return () => {
    if (timer && delay > 200) return; // under a stream of changes it is called all the same
    clearTimeout(timer);
    timer = setTimeout(() => {
      timer = 0;
      f();
    }, delay);
  };
}
