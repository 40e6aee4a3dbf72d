import { h, replace } from './dom.js';
import { call, eventTypes, get, pathOf, watch } from './api.js';
import { ago, bytes, count, t, timeOfDay, when } from './words.js';
import { confirmation, dot, fact, push, refusal, titleOf } from './parts.js';

const every = 5000;

export async function machine(main, signal, id) {
  const path = pathOf`/v1/machines/${id}`;
  const top = h('div', {});
  const facts = h('section.card', {});
  const ends = h('section.card', {});
  const frames = h('ul.log', { id: 'frames' }, h('li.empty', {}, t('nothingYet')));

  const first = await get(path, signal);
  const name = titleOf(first);
  replace(main,
    h('p', { style: 'margin: 0' }, h('a', { href: '#/machines' }, '← ' + t('back'))),
    top,
    h('div.two', {},
      h('div', {}, facts, sendForm(id), removal(path, name, () => gone(main, name))),
      h('div', {}, h('section.card', {}, h('h2', {}, t('live')), h('p.soft', { style: 'margin: -.4rem 0 .6rem' }, t('liveHelp')), frames), ends)));

  const draw = (m) => {
    replace(top, h('div.head', {}, h('h1', {}, dot(m.online), ' ', titleOf(m))), ...warnings(m));
    replace(facts, h('h2', {}, t('facts')), factsOf(m));
    replace(ends, h('h2', {}, t('why')), endsOf(m.why?.ends ?? []));
  };
  const refresh = async () => {
    try {
      draw(await get(path, signal));
    } catch (problem) {
      if (signal.aborted) return;
      if (problem.code === 'machine_not_found') gone(main, name);
      else replace(top, problem.status ? refusal(problem) : h('div.note.warn', {}, t('gone')));
    }
  };
  draw(first);
  const timer = setInterval(refresh, every);
  signal.addEventListener('abort', () => clearInterval(timer));
  watch('/v1/events', eventTypes, (event) => event.machineId === id && refresh(), signal);
  watch(path + '/frames', ['data', 'lost'], (frame, event) => push(frames, frameLine(frame, event)), signal);
}

function gone(main, name) {
  replace(main, h('p', { style: 'margin: 0' }, h('a', { href: '#/machines' }, '← ' + t('back'))),
    h('h1', {}, name), h('div.note', { role: 'status' }, t('removed')));
}

function warnings({ why }) {
  return [
    why?.cloneSuspected ? h('div.note.warn', {}, t('clone')) : null,
    why?.held ? h('div.note.warn', {}, t('held', { reason: why.held.why })) : null,
  ];
}

function factsOf(m) {
  const hardware = [m.cpuCores ? count(m.cpuCores) : '', m.ramBytes ? bytes(m.ramBytes) : ''].filter(Boolean).join(' · ');
  const sessions = (m.why?.sessions ?? []).map((session) =>
    h('div', {}, h('code', {}, session.address || session.id), h('span.soft', {}, ' ' + t('since', { time: when(session.since) }))));
  const waiting = m.why?.waiting ? h('span.soft', {}, ' · ' + t('waiting', { n: count(m.why.waiting) + (m.why.moreWaiting ? '+' : '') })) : null;
  return h('dl.facts', {},
    fact('ID', h('code', {}, m.id)),
    fact(t('account'), h('code', {}, m.accountId), m.default ? h('div.soft', {}, t('defaultMachine')) : null),
    fact(t('hostname'), m.hostname),
    fact(t('system'), [m.os, m.arch].filter(Boolean).join(' ')),
    fact(t('hardware'), hardware),
    fact(t('version'), m.version),
    m.hwid ? fact(t('hwid'), h('code', {}, m.hwid)) : [],
    fact(t('enrolled'), when(m.enrolledAt)),
    m.online ? [] : fact(t('lastSeen'), ago(m.lastSeenAt)),
    sessions.length ? fact(t('sessions'), ...sessions) : fact(t('sessions'), count(m.sessions)),
    m.why?.position ? fact(t('position'), count(m.why.position), waiting) : []);
}

function endsOf(ends) {
  if (!ends.length) return h('p.empty', {}, t('noEnds'));
  return h('ul.log', {}, ends.map((end) => h('li', {},
    h('time', { title: when(end.time) }, ago(end.time)),
    h('span.what', {}, `${end.code} ${end.reason ?? ''} `, h('span.soft', {}, end.address ?? '')))));
}

function frameLine(frame, event) {
  const what = event.type === 'lost' ? t('framesLost', { n: frame.lost }) : h('code', {}, JSON.stringify(frame.data));
  return h('li', {}, h('time', {}, timeOfDay(Date.now())), h('span.what', {}, frame.seq ? h('span.soft', {}, `${frame.seq} `) : null, what));
}

function sendForm(id) {
  const data = h('textarea', { spellcheck: false, 'aria-label': t('data'), value: '{"hello":"machine"}' });
  const mode = h('select', { 'aria-label': t('send') }, h('option', { value: 'stored' }, t('keep')), h('option', { value: 'live' }, t('liveOnly')));
  const status = h('div', { role: 'status' });
  const submit = async (event) => {
    event.preventDefault();
    let value;
    try {
      value = JSON.parse(data.value);
    } catch (error) {
      replace(status, h('div.note.bad', {}, t('notJSON', { why: error.message })));
      return;
    }
    try {
      const receipt = await call('POST', '/v1/messages', { to: { machine: id }, data: value, mode: mode.value });
      replace(status, h('div.note', {}, receipt.seq ? t('sent', { seq: receipt.seq }) : t('sentLive')));
    } catch (problem) {
      replace(status, refusal(problem));
    }
  };
  return h('form.card', { id: 'send', onsubmit: submit },
    h('h2', { style: 'margin: 0' }, t('send')), h('label', {}, t('data'), data),
    h('div.row', {}, mode, h('button.main', { type: 'submit' }, t('send'))), status);
}

function removal(path, name, done) {
  return h('section.card.danger-zone', { id: 'remove' }, h('h2', {}, t('removeMachine')),
    confirmation({
      help: t('removeHelp', { name: `“${name}”` }), name, action: t('remove'),
      run: async () => {
        await call('DELETE', path);
        done();
      },
    }));
}
