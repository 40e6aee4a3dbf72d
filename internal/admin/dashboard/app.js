// The dashboard: a view for each part of the address behind #, made anew when that changes. It uses the
// operators' API and nothing else.
import { h, replace } from './dom.js';
import { call, get } from './api.js';
import { language, setLanguage, t } from './words.js';
import { refusal } from './parts.js';
import { overview } from './overview.js';
import { machines } from './machines.js';
import { machine } from './machine.js';
import { accounts } from './accounts.js';

const views = [
  [/^\/?$/, overview],
  [/^\/machines$/, machines],
  [/^\/machines\/([^/]+)$/, machine],
  [/^\/accounts$/, accounts],
];

let leave = new AbortController(); // ends what the view that is left has going on

async function show() {
  leave.abort();
  leave = new AbortController();
  const { signal } = leave;
  const path = location.hash.slice(1);
  const [pattern, view] = views.find(([p]) => p.test(path)) ?? views[0];
  const main = h('main', {});
  replace(document.body, header(path), main);
  try {
    await view(main, signal, ...(pattern.exec(path)?.slice(1) ?? []).map(decodeURIComponent));
  } catch (problem) {
    if (!signal.aborted) replace(main, refusal(problem));
  }
}

function header(path) {
  const link = (to, name, isHere) => h('a', { href: '#' + to, ...(isHere ? { 'aria-current': 'page' } : {}) }, t(name));
  const other = language === 'zh' ? 'en' : 'zh';
  return h('header.top', {}, h('div', {},
    h('a.name', { href: '#/' }, h('img', { src: '/dashboard/icon.svg', alt: '' }), 'Fleetline'),
    h('nav', {},
      link('/', 'overview', path === '' || path === '/'),
      link('/machines', 'machines', path.startsWith('/machines')),
      link('/accounts', 'accounts', path === '/accounts')),
    h('button.plain', { onclick: () => setLanguage(other), lang: other }, other === 'zh' ? '中文' : 'English'),
    h('button.plain', { onclick: signOut }, t('signOut'))));
}

async function signOut() {
  await call('POST', '/logout').catch(() => {}); // without an answer, the cookie ends by itself
  login();
}

function login() {
  leave.abort();
  const input = h('input', { type: 'password', autocomplete: 'current-password', required: true, autofocus: true });
  const status = h('div', {});
  const submit = async (event) => {
    event.preventDefault();
    try {
      await call('POST', '/login', { token: input.value.trim() });
      show();
    } catch (problem) {
      replace(status, refusal(problem));
    }
  };
  replace(document.body, h('div.login', {},
    h('h1', {}, h('img', { src: '/dashboard/icon.svg', alt: '' }), 'Fleetline'),
    h('form.card', { onsubmit: submit },
      h('label', {}, t('token'), input),
      h('button.main', { type: 'submit' }, t('signIn')),
      status),
    h('p.soft', { style: 'margin: 0' }, t('tokenHelp'))));
  input.focus();
}

document.documentElement.lang = language === 'zh' ? 'zh-CN' : 'en';
addEventListener('hashchange', show);
addEventListener('signedout', login);
get('/v1/stats').then(show, (problem) => (problem.status === 401 ? login() : show()));
