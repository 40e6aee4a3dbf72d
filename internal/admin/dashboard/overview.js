import { h, replace } from './dom.js';
import { eventTypes, get, watch } from './api.js';
import { chart } from './chart.js';
import { count, hourMinute, t } from './words.js';
import { eventLine, push, refusal } from './parts.js';

const every = 5000;

export async function overview(main, signal) {
  const tiles = h('div.tiles', {});
  const charts = h('div.card', {});
  const rates = h('div.card', {});
  const log = h('ul.log', {}, h('li.empty', {}, t('nothingYet')));
  const trouble = h('div', {});
  replace(main, trouble, tiles, h('div.two', {}, h('div', {}, charts, rates), h('section.card', {}, h('h2', {}, t('recent')), log)));
  watch('/v1/events', eventTypes, (event) => push(log, eventLine(event)), signal);

  const refresh = async () => {
    try {
      draw(await get('/v1/stats', signal), await get('/readyz', signal).catch((problem) => problem));
      replace(trouble);
    } catch (problem) {
      if (!signal.aborted) replace(trouble, problem.status ? refusal(problem) : h('div.note.warn', {}, t('gone')));
    }
  };
  const draw = (stats, readiness) => {
    const samples = stats.samples;
    const of = (name) => samples.map((sample) => sample[name]);
    const now = samples.at(-1) ?? {};
    replace(tiles,
      tile(t('machinesOnline'), 'number', count(stats.machinesOnline)),
      tile(t('messagesPerSecond'), 'number', count(now.messagesPerSecond ?? 0)),
      tile(t('authsPerSecond'), 'number', count(now.authsPerSecond ?? 0)),
      tile(t('directory'), 'text', health(readiness)));
    const from = samples[0]?.time ?? stats.time;
    replace(charts, h('h2', {}, `${t('machinesOnline')} · ${t('lastHour')}`),
      chart({ series: [of('machinesOnline')], names: [t('machinesOnline')], from, format: count, time: hourMinute }));
    replace(rates, h('h2', {}, `${t('messagesPerSecond')} · ${t('authsPerSecond')}`),
      chart({ series: [of('messagesPerSecond'), of('authsPerSecond')], names: [t('messagesPerSecond'), t('authsPerSecond')], from, format: count, time: hourMinute }),
      h('p.soft', { style: 'margin: .4rem 0 0; font-size: .87rem' }, t('ofThisNode')));
  };
  await refresh();
  const timer = setInterval(refresh, every);
  signal.addEventListener('abort', () => clearInterval(timer));
}

const tile = (name, kind, value) => h('div.card.tile', {}, h(`div.${kind}`, {}, value), h('div.soft', {}, name));

// health says in words how the directory is doing, or why the gateway is not ready.
function health(readiness) {
  if (readiness instanceof Error) return [h('span.dot.bad'), ' ', readiness.message];
  const { directory } = readiness;
  const text = directory?.accounts ?? '';
  return [h(text.startsWith('live') ? 'span.dot.on' : 'span.dot.warn'), ' ', text || readiness.status];
}
