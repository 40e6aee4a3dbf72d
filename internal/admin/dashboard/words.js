// Every word of the page, in both languages, in one table: a test holds it complete.
export const words = {
  signIn: ['Sign in', '登录'],
  signOut: ['Sign out', '退出'],
  token: ['Operator token', '操作员令牌'],
  tokenHelp: ['`fleetline admin token` prints it; `fleetline token add --scope read` makes one that only looks.', '运行 `fleetline admin token` 可查看；`fleetline token add --scope read` 可创建只读令牌。'],
  overview: ['Overview', '概览'],
  machines: ['Machines', '机器'],
  accounts: ['Accounts', '账户'],
  online: ['Online', '在线'],
  offline: ['Offline', '离线'],
  all: ['All', '全部'],
  machinesOnline: ['Machines online', '在线机器'],
  messagesPerSecond: ['Messages per second', '每秒消息数'],
  authsPerSecond: ['Authentications per second', '每秒认证数'],
  directory: ['Directory', '目录'],
  lastHour: ['The last hour', '最近一小时'],
  ofThisNode: ['This gateway process, since it started.', '仅本网关进程，自启动起。'],
  recent: ['What happens', '动态'],
  nothingYet: ['Nothing yet.', '暂无内容。'],
  search: ['Search by name, host or id', '按名称、主机或 ID 搜索'],
  name: ['Name', '名称'],
  account: ['Account', '账户'],
  system: ['System', '系统'],
  version: ['Version', '版本'],
  lastSeen: ['Last seen', '最后在线'],
  now: ['now', '现在'],
  never: ['never', '从未'],
  more: ['Show more', '显示更多'],
  noMachines: ['No machine fits.', '没有符合条件的机器。'],
  noMachineYet: ['No machine has connected yet. On one, run:', '还没有机器连接。在机器上运行：'],
  back: ['All machines', '所有机器'],
  facts: ['Machine', '机器信息'],
  hostname: ['Host name', '主机名'],
  hardware: ['Cores and memory', '核心与内存'],
  hwid: ['Hardware id', '硬件 ID'],
  enrolled: ['Enrolled', '注册时间'],
  sessions: ['Sessions', '会话'],
  address: ['Address', '地址'],
  since: ['since {time}', '自 {time}'],
  position: ['Position', '位置'],
  waiting: ['{n} waiting', '{n} 条待发送'],
  defaultMachine: ['The account’s default machine', '账户的默认机器'],
  clone: ['Two live sessions of this machine come from different boots: its disk may have been cloned.', '此机器的两个活动会话来自不同的启动：磁盘可能被克隆。'],
  held: ['Held: {reason}', '已暂缓：{reason}'],
  why: ['How its sessions ended', '会话结束记录'],
  noEnds: ['None that is remembered.', '没有记录。'],
  live: ['Live frames', '实时帧'],
  liveHelp: ['Messages for this machine as the log hands them out, while this page is open.', '打开本页期间，日志下发给此机器的消息。'],
  framesLost: ['{n} frames were too many to show', '{n} 个帧过多，未显示'],
  send: ['Send data', '发送数据'],
  data: ['Any JSON value', '任意 JSON 值'],
  keep: ['Keep until it comes back', '保留至其重新上线'],
  liveOnly: ['Only if it is there now', '仅当前在线时'],
  notJSON: ['This is not JSON: {why}', '这不是 JSON：{why}'],
  sent: ['Sent; position {seq}.', '已发送；位置 {seq}。'],
  sentLive: ['Sent, live.', '已实时发送。'],
  remove: ['Delete', '删除'],
  removeMachine: ['Delete this machine', '删除此机器'],
  removeHelp: ['It is cut off at once, told so, and refused for ever. Type {name} to confirm.', '它将立即被切断、被告知，并永久拒绝。输入 {name} 以确认。'],
  removed: ['This machine has been deleted.', '此机器已被删除。'],
  addAccount: ['Add account', '添加账户'],
  accountName: ['Name, for people', '名称'],
  created: ['Created', '创建时间'],
  rotate: ['New key', '更换密钥'],
  rotateHelp: ['The old key ends at once, and the sessions opened with it. Type {name} to confirm.', '旧密钥及其会话立即失效。输入 {name} 以确认。'],
  removeAccountHelp: ['All its machines are cut off and told that they were deleted. Type {name} to confirm.', '其所有机器将被切断并被告知已删除。输入 {name} 以确认。'],
  keyOnce: ['The key of {name}. It is shown once and kept nowhere:', '{name} 的密钥，仅显示一次，不会保存：'],
  copy: ['Copy', '复制'],
  copied: ['Copied', '已复制'],
  cancel: ['Cancel', '取消'],
  gone: ['The gateway does not answer. Trying again.', '网关没有响应，正在重试。'],
  'machine.enrolled': ['enrolled', '已注册'],
  'machine.connected': ['connected', '已连接'],
  'machine.disconnected': ['disconnected', '已断开'],
  'machine.deleted': ['deleted', '已删除'],
  'machine.clone_suspected': ['may be a clone', '疑似克隆'],
  'events.lost': ['events are missing here', '此处缺少事件'],
};

const stored = localStorage.getItem('language');
export const language = stored ?? (navigator.language.toLowerCase().startsWith('zh') ? 'zh' : 'en');
const locale = language === 'zh' ? 'zh-CN' : 'en';

export function setLanguage(l) {
  localStorage.setItem('language', l);
  location.reload();
}

// t is a word in the reader's language; {name} stands for a value.
export function t(key, values = {}) {
  const text = words[key]?.[language === 'zh' ? 1 : 0] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

const dateTime = new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeStyle: 'medium' });
const clock = new Intl.DateTimeFormat(locale, { timeStyle: 'medium' });
const short = new Intl.DateTimeFormat(locale, { timeStyle: 'short' });
const number = new Intl.NumberFormat(locale, { maximumFractionDigits: 1 });
const relative = new Intl.RelativeTimeFormat(locale, { numeric: 'auto' });

export const when = (text) => (text ? dateTime.format(new Date(text)) : t('never'));
export const timeOfDay = (time) => clock.format(new Date(time));
export const hourMinute = (time) => short.format(new Date(time));
export const count = (n) => number.format(n);

// ago is a time as people say it.
export function ago(text) {
  if (!text) return t('never');
  const seconds = (new Date(text) - Date.now()) / 1000;
  for (const [unit, size] of [['day', 86400], ['hour', 3600], ['minute', 60]]) {
    if (-seconds >= size) return relative.format(Math.round(seconds / size), unit);
  }
  return relative.format(Math.round(Math.min(0, seconds)), 'second');
}

// bytes is a size as machines are sold with.
export function bytes(n) {
  const gib = n / 2 ** 30;
  return gib >= 1 ? `${count(gib)} GiB` : `${count(n / 2 ** 20)} MiB`;
}
