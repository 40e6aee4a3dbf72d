import { h, s } from './dom.js';

const width = 600;
const height = 140;

// chart draws series of the same length over the time they span.
export function chart({ series, names, from, format, time }) {
  const top = ceiling(Math.max(1, ...series.flat()));
  const x = (i, n) => (n < 2 ? width : (i * width) / (n - 1));
  const y = (v) => height - (v * (height - 8)) / top;
  const lines = series.flatMap((values, k) => {
    if (!values.length) return [];
    const points = values.map((v, i) => `${x(i, values.length).toFixed(1)},${y(v).toFixed(1)}`).join(' ');
    return [
      s(`polygon.area.series${k}`, { points: `0,${height} ${points} ${width},${height}` }),
      s(`polyline.line.series${k}`, { points }),
    ];
  });
  const rules = [0, top / 2, top].map((v) => s('line.rule', { x1: 0, x2: width, y1: y(v), y2: y(v) }));
  const picture = s('svg.chart', { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: 'none', role: 'img', 'aria-label': names.join(', ') }, rules, lines);
  const last = (k) => format(series[k].at(-1) ?? 0);
  return h('div', {},
    h('div.scale', {}, format(top)),
    picture,
    h('div.scale', {}, h('span', {}, time(from)), h('span', {}, time(Date.now()))),
    h('div.legend', {}, names.map((name, k) => h('span', {}, h(`i.series${k}`), `${name}: ${last(k)}`))));
}

// ceiling is the next of 1, 2 and 5 times a power of ten.
function ceiling(v) {
  const power = 10 ** Math.floor(Math.log10(v));
  return [1, 2, 5, 10].map((n) => n * power).find((n) => n >= v);
}
