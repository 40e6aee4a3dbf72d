// Makes a picture (SVG) of what `tmux capture-pane -e -p` prints: node terminal-picture.mjs [light] <capture >picture.svg
import { readFileSync } from 'node:fs';

const light = process.argv.includes('light');
const ground = light ? '#ffffff' : '#16181d', ink = light ? '#24292f' : '#d7dae0', frame = light ? '#d0d7de' : '#30343d';
const cell = 8.43, row = 19, margin = 18, bar = 34;

// colour gives the CSS colour of one of the 256, of which the program uses those of the cube and the greys.
function colour(n) {
  if (n < 16) return ['#000', '#c33', '#3a3', '#a80', '#37c', '#a3a', '#0aa', '#ccc', '#777', '#f55', '#5d5', '#ec5', '#59f', '#f5f', '#5ff', '#fff'][n];
  if (n > 231) return `rgb(${[0, 0, 0].fill(8 + 10 * (n - 232))})`;
  const step = (v) => (v ? 55 + 40 * v : 0);
  return `rgb(${[step(Math.trunc((n - 16) / 36)), step(Math.trunc((n - 16) / 6) % 6), step((n - 16) % 6)]})`;
}

const isWide = (c) => /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]/.test(c);
const escape = (s) => s.replace(/[&<> ]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', ' ': '\u00a0' })[c]); // plain spaces would be drawn together

// style follows one SGR sequence.
function style(now, codes) {
  for (let i = 0; i < codes.length; i++) {
    const c = codes[i];
    if (c === 0) now = {};
    else if (c === 1) now = { ...now, bold: true };
    else if ((c === 38 || c === 48) && codes[i + 1] === 5) now = { ...now, [c === 38 ? 'fg' : 'bg']: colour(codes[(i += 2)]) };
    else if ((c === 38 || c === 48) && codes[i + 1] === 2) now = { ...now, [c === 38 ? 'fg' : 'bg']: `rgb(${codes.slice(i + 2, (i += 4) + 1)})` };
    else if (c === 39 || c === 49) now = { ...now, [c === 39 ? 'fg' : 'bg']: undefined };
    else if ((c >= 30 && c < 38) || (c >= 90 && c < 98)) now = { ...now, fg: colour(c < 90 ? c - 30 : c - 82) };
  }
  return now;
}

const lines = readFileSync(0, 'utf8').replace(/\s+$/, '').split('\n');
let now = {}, columns = 0, texts = '', grounds = '';
lines.forEach((line, y) => {
  let x = 0;
  for (const part of line.split(/(\x1b\[[\d;:]*m)/)) {
    const sequence = /^\x1b\[([\d;:]*)m$/.exec(part);
    if (sequence) {
      now = style(now, sequence[1].split(/[;:]/).map(Number));
      continue;
    }
    for (const run of part.match(/[^\u1100-\uffff]+|[\u1100-\uffff]/gu) ?? []) {
      const width = isWide(run) ? 2 : [...run].length;
      const left = (margin + x * cell).toFixed(1), top = bar + margin + y * row;
      if (now.bg) grounds += `<rect x="${left}" y="${top - 14}" width="${(width * cell).toFixed(1)}" height="${row}" fill="${now.bg}"/>`;
      if (run.trim()) texts += `<text x="${left}" y="${top}" textLength="${(width * cell).toFixed(1)}"${now.fg ? ` fill="${now.fg}"` : ''}${now.bold ? ' font-weight="bold"' : ''}>${escape(run)}</text>`;
      x += width;
    }
  }
  columns = Math.max(columns, x);
});
const width = Math.ceil(2 * margin + Math.max(columns, 80) * cell), height = bar + 2 * margin + (lines.length - 1) * row;
console.log(`<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">
<rect x=".5" y=".5" width="${width - 1}" height="${height - 1}" rx="9" fill="${ground}" stroke="${frame}"/>
<circle cx="20" cy="18" r="5.5" fill="#ff5f57"/><circle cx="39" cy="18" r="5.5" fill="#febc2e"/><circle cx="58" cy="18" r="5.5" fill="#28c840"/>
${grounds}<g font-family="ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono','Liberation Mono',monospace" font-size="14" fill="${ink}">${texts}</g>
</svg>`);
