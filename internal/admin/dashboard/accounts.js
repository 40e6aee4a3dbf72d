import { h, replace } from './dom.js';
import { call, get, pathOf } from './api.js';
import { t, when } from './words.js';
import { confirmation, refusal } from './parts.js';

export async function accounts(main, signal) {
  const shown = h('div', {}); // a key that was made, or why there is none
  const body = h('tbody', {});
  const name = h('input', { maxLength: 128, placeholder: t('accountName'), 'aria-label': t('accountName') });
  const add = async (event) => {
    event.preventDefault();
    try {
      const made = await call('POST', '/v1/accounts', name.value.trim() ? { name: name.value.trim() } : {});
      name.value = '';
      replace(shown, keyOnce(made));
      await load();
    } catch (problem) {
      replace(shown, refusal(problem));
    }
  };
  const load = async () => {
    const list = (await get('/v1/accounts', signal)).accounts;
    replace(body, list.map((account) => rowOf(account, { shown, load })));
  };
  replace(main,
    h('div.head', {}, h('h1', {}, t('accounts')), h('form', { id: 'add', onsubmit: add }, h('div.row', {}, h('div.grow', {}, name), h('button.main', { type: 'submit' }, t('addAccount'))))),
    shown,
    h('div.card', {}, h('div.scroll', {}, h('table', {}, h('thead', {}, h('tr', {}, h('th', {}, t('account')), h('th.wide', {}, t('created')), h('th', {}))), body))));
  await load();
}

function rowOf(account, { shown, load }) {
  const name = account.name || account.id;
  const path = pathOf`/v1/accounts/${account.id}`;
  const ask = (help, action, run) => replace(shown, h('div.card.danger-zone', {},
    confirmation({ help: t(help, { name: `“${name}”` }), name, action: t(action), run }),
    h('button.plain', { onclick: () => replace(shown) }, t('cancel'))));
  const rotate = async () => replace(shown, keyOnce(await call('POST', path + '/rotate', {})));
  const remove = async () => {
    await call('DELETE', path);
    replace(shown);
    await load();
  };
  return h('tr', {},
    h('td', {}, account.name ? h('div', {}, account.name) : null, h('code.soft', {}, account.id)),
    h('td.wide', {}, account.createdAt ? when(account.createdAt) : ''),
    h('td.tight', {}, h('div.row', {},
      h('button', { onclick: () => ask('rotateHelp', 'rotate', rotate) }, t('rotate')),
      h('button.danger', { onclick: () => ask('removeAccountHelp', 'remove', remove) }, t('remove')))));
}

function keyOnce(made) {
  const copy = h('button', { onclick: async () => {
    await navigator.clipboard.writeText(made.apiKey);
    copy.textContent = t('copied');
  } }, t('copy'));
  return h('div.note', { role: 'status' }, h('p', {}, t('keyOnce', { name: made.name || made.id })),
    h('div.row', { style: 'margin-top: .5rem' }, h('code', { id: 'key' }, made.apiKey), copy));
}
