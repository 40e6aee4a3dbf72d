// What more than one view shows.
import { h } from './dom.js';
import { pathOf } from './api.js';
import { t, timeOfDay } from './words.js';

export const titleOf = (machine) => machine.name || machine.hostname || machine.id;

export const linkTo = (id, text = id) => h('a', { href: '#' + pathOf`/machines/${id}` }, text);

export const dot = (isOnline) => h(isOnline ? 'span.dot.on' : 'span.dot', { title: t(isOnline ? 'online' : 'offline') });

// refusal shows why something did not work, with the gateway's hint.
export function refusal(problem) {
  return h('div.note.bad', { role: 'alert' }, h('p', {}, problem.message), problem.hint ? h('pre', {}, problem.hint) : null);
}

// fact is one line of a list of facts, or nothing.
export const fact = (name, ...value) => (value[0] === null || value[0] === undefined || value[0] === '' ? [] : [h('dt', {}, name), h('dd', {}, ...value)]);

// eventLine is one event in a log, newest first.
export function eventLine(event) {
  const how = [event.code || '', event.reason || ''].join(' ').trim();
  const what = [
    event.machineId ? linkTo(event.machineId, h('code', {}, event.machineId)) : null,
    ' ' + t(event.type) + (event.lost ? ` (${event.lost})` : ''),
    how ? h('span.soft', {}, ` ${how}`) : null,
    event.address ? h('span.soft', {}, ` ${event.address}`) : null,
  ];
  return h('li', {}, h('time', {}, timeOfDay(event.time)), h('span.what', {}, what));
}

// push adds a line on top of a log and forgets the oldest.
export function push(log, line, most = 100) {
  log.querySelector('.empty')?.remove();
  log.prepend(line);
  while (log.children.length > most) log.lastElementChild.remove();
}

// confirmation asks for a name to be typed before anything is done.
export function confirmation({ help, name, action, run }) {
  const input = h('input', { autocomplete: 'off', spellcheck: false, 'aria-label': name, oninput: () => (button.disabled = input.value !== name) });
  const button = h('button.danger', { disabled: true, type: 'submit' }, action);
  const status = h('div', {});
  const submit = async (event) => {
    event.preventDefault();
    button.disabled = true;
    try {
      await run();
    } catch (problem) {
      status.replaceChildren(refusal(problem));
      button.disabled = false;
    }
  };
  return h('form', { onsubmit: submit }, h('p.soft', { style: 'margin: 0' }, help), h('div.row', {}, h('div.grow', {}, input), button), status);
}
