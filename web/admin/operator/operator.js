// The operator's page. It signs in with an admin token, and polls the node while the tab
// is visible. It asks for confirmation before each change.

import { showAdvice } from '/advice.js';
import { choose, chosen, onChoice } from '/address.js';
import { attempt, confirm } from '/confirm.js';
import { Connections } from '/connections.js';
import { byId, say } from '/dom.js';
import { Drill } from '/drill.js';
import { moment } from '/format.js';
import { Health } from '/health.js';
import { showMemory, showOffenders, showSlow, withoutRedis } from '/lists.js';
import { parse } from '/metrics.js';
import { Beat, call, Refusal, Silence } from '/node.js';
import { showNodes } from '/nodes.js';
import { Plots } from '/plots.js';
import { Rejects, showReasons } from '/rejects.js';
import { Sessions } from '/sessions.js';
import { showSymbols } from '/symbols.js';
import { Vitals } from '/vitals.js';

const tokenKey = 'fxcast.operator.token';
const reasonKey = 'fxcast.operator.reason'; // why the sign-in form is shown, kept over a reload
const second = 1000;
const longestWait = 30 * second;
const livePatience = 8 * second; // for calls that do not scan all of Redis
const metricsPatience = 4 * second; // for the metrics, which need no Redis

let token = sessionStorage.getItem(tokenKey) ?? '';
let ratio = null;

const vitals = new Vitals();
const health = new Health();
const rejects = new Rejects();
const notOffered = new Set(); // calls that this Redis does not support
const get = (path, signal, timeout) => call(token, path, { signal, timeout });
const quick = (path, signal) => get(path, signal, livePatience);
const plots = new Plots(quick, () => beats.at(-1).hurry());
const drill = new Drill(quick, () => beats.at(-2).hurry());
const id = encodeURIComponent;

/** Makes a call that this Redis may not support, or that fails while Redis is lost. */
async function ask(path, signal, show) {
  if (notOffered.has(path)) return;
  try {
    show(await get(path, signal));
  } catch (err) {
    if (!(err instanceof Refusal) || err.status < 500) throw err;
    if (err.status === 501) {
      notOffered.add(path);
      show(null);
    } else {
      withoutRedis();
    }
  }
}

// Each beat makes one call at a time, so it needs one connection.
const beats = [
  new Beat([
    { every: 2 * second, run: async (signal) => {
      const text = await call(token, '/metrics', { text: true, signal, timeout: metricsPatience });
      const sample = parse(text, performance.now());
      vitals.show(sample, ratio);
      health.showNode(sample);
      showReasons(sample);
      linked();
    } },
  ], failed),
  new Beat([
    { every: 2 * second, run: async (signal) => {
      const answer = await get('/api/v1/connections?limit=200', signal, livePatience);
      connections.show(answer, health.reachable);
      plots.nodes(showNodes(answer, ratio?.node ?? '', health.reachable), ratio?.node ?? '');
    } },
  ], failed),
  new Beat([
    { every: 3 * second, run: async (signal) => {
      health.showRedis(await get('/api/v1/redis/health', signal, livePatience));
      if (document.documentElement.dataset.link === 'live') linked();
      if (!health.reachable) health.showStats(null);
    } },
    { every: 6 * second, run: async (signal) => {
      if (health.reachable) await ask('/api/v1/redis/stats', signal, (stats) => health.showStats(stats));
    } },
  ], failed),
  new Beat([
    { every: 4 * second, run: (signal) => ask('/api/v1/feed/rejected', signal, (entries) => rejects.show(entries)) },
    { every: 4 * second, run: async (signal) => {
      ratio = await get('/api/v1/redis/cache/hit-ratio', signal);
      say(byId('node'), `node ${ratio.node}`);
    } },
    { every: 6 * second, run: (signal) => ask('/api/v1/redis/rate-limit/offenders?limit=20', signal, showOffenders) },
    { every: 10 * second, run: (signal) => (health.reachable ? ask('/api/v1/redis/slowlog?limit=50', signal, showSlow) : withoutRedis()) },
    { every: 60 * second, run: (signal) => (health.reachable ? ask('/api/v1/redis/config', signal, showAdvice) : undefined) },
    { every: 30 * second, run: (signal) => (health.reachable ? ask('/api/v1/redis/memory', signal, showMemory) : withoutRedis()) },
  ], failed),
  new Beat([
    { every: 3 * second, run: (signal) => drill.load(signal) },
    { every: 5 * second, run: (signal) => ask('/api/v1/feed/symbols', signal, showSymbols) },
  ], failed),
  new Beat([{ every: 5 * second, run: (signal) => plots.load(signal) }], failed), // at most once a step
];

/* The link to the node */

let wait = 0; // ms until the next try; 0 while the node answers
let retryAt = 0;
let ticker;

function state(name, text) {
  document.documentElement.dataset.link = name;
  say(byId('link-name'), text);
  say(byId('link-more'), '');
  byId('retry').hidden = name !== 'lost';
}

function linked() {
  wait = 0;
  state('live', health.verdict);
}

function failed(err) {
  if (err instanceof Refusal && (err.status === 401 || err.status === 403)) {
    signOut(err.status === 401 ? 'The node no longer accepts this token.' : err.message);
  } else if (err instanceof Silence) {
    lost(err.message);
  } else if (!(err instanceof Refusal)) {
    console.error(err);
  }
}

/** Stops polling, and tries again after a delay that doubles each time. */
function lost(why) {
  if (!beats[0].stopper) return; // another beat has failed first
  for (const beat of beats) beat.stop();
  wait = Math.min(longestWait, wait ? wait * 2 : 2 * second);
  retryAt = performance.now() + wait;
  if (document.documentElement.dataset.link !== 'lost') state('lost', `The node does not answer: ${why}. The numbers are from ${moment(new Date())}.`);
  const show = () => {
    const left = Math.ceil((retryAt - performance.now()) / second);
    if (left <= 0) return resume();
    say(byId('link-more'), `Trying again in ${left} s`); // hidden from screen readers, since it changes each second
  };
  clearInterval(ticker);
  ticker = setInterval(show, second / 4);
  show();
}

function resume() {
  clearInterval(ticker);
  say(byId('link-more'), '');
  if (document.hidden || !token) return;
  for (const beat of beats) beat.start();
}

function pause() {
  clearInterval(ticker);
  for (const beat of beats) beat.stop();
  state('paused', 'Paused while the tab is hidden');
}

/* Changes */

const hurry = () => beats[1].hurry(); // the beat of the connections

const about = (c) => [['User', c.user_id], ['Role', c.role], ['Connection', c.conn_id], ['Node', c.node], ['Address', c.address], ['Since', moment(c.since)]];

const connections = new Connections({
  look: (user) => choose({ symbol: '', source: '', user }),
  kick: async (c) => {
    if (!await confirm({ title: `Kick ${c.user_id}?`, text: 'This closes the connection with code 1008. The session stays valid, so the client may connect again.', about: about(c), yes: 'Kick' })) return;
    await attempt(async () => {
      const done = await call(token, `/api/v1/connections/${id(c.conn_id)}`, { method: 'DELETE' });
      return `Kicked connection ${c.conn_id} of ${c.user_id} on ${done.node}.`;
    });
    hurry();
  },
  revoke: (c) => revoke({ session_id: c.session_id, user_id: c.user_id }, about(c)),
});

async function revoke(s, facts) {
  const text = 'This closes all connections of the session with code 4001, on every node. The session cannot be used again.';
  if (!await confirm({ title: `Revoke a session of ${s.user_id}?`, text, about: [...facts, ['Session', s.session_id]], yes: 'Revoke' })) return;
  await attempt(async () => {
    await call(token, `/api/v1/redis/session/${id(s.session_id)}`, { method: 'DELETE' });
    return `Revoked session ${s.session_id.slice(0, 12)}… of ${s.user_id}.`;
  });
  await sessions.again();
  hurry();
}

const sessions = new Sessions((path) => get(path), {
  revoke: (s) => revoke(s, [['User', s.user_id], ['Role', s.role], ['Created', moment(s.created_at)], ['Address', s.address || '–']]),
  revokeAll: async (user, n) => {
    const text = 'This signs the user out everywhere and closes all connections of the user with code 4001, on every node.';
    if (!await confirm({ title: `Revoke all sessions of ${user}?`, text, about: [['User', user], ['Sessions', String(n)]], yes: 'Revoke all' })) return;
    await attempt(async () => {
      const done = await call(token, `/api/v1/sessions?user_id=${id(user)}`, { method: 'DELETE' });
      return `Revoked ${done.revoked} ${done.revoked === 1 ? 'session' : 'sessions'} of ${user}.`;
    });
    await sessions.again();
    hurry();
  },
});

/** Looks up the sessions of the user in the address. */
function lookUp() {
  const user = chosen('user');
  if (token && user && user !== sessions.user) sessions.look(user);
}

byId('lookup').onsubmit = (e) => {
  e.preventDefault();
  choose({ symbol: '', source: '', user: byId('user').value });
  sessions.look(byId('user').value);
};
onChoice(lookUp);

/* Signing in and out */

function showGate() {
  const reason = sessionStorage.getItem(reasonKey) ?? '';
  sessionStorage.removeItem(reasonKey);
  state('out', 'Signed out');
  byId('desk').hidden = byId('sign-out').hidden = true;
  byId('gate').hidden = false;
  say(byId('gate-error'), reason);
  byId('token').focus();
}

function showDesk() {
  state('connecting', 'Connecting');
  byId('gate').hidden = true;
  byId('desk').hidden = byId('sign-out').hidden = false;
  lookUp();
  resume();
}

/** Forgets the token and everything that was shown with it. */
function signOut(reason = '') {
  for (const beat of beats) beat.stop();
  sessionStorage.removeItem(tokenKey);
  sessionStorage.setItem(reasonKey, reason);
  location.reload();
}

byId('sign-in').onsubmit = async (e) => {
  e.preventDefault();
  const given = byId('token').value.trim();
  say(byId('gate-error'), '');
  try {
    if (!/^[\x21-\x7e]+$/.test(given)) throw new Refusal(401, 'not a token');
    await call(given, '/api/v1/redis/rate-limit/offenders?limit=1', { timeout: livePatience });
  } catch (err) {
    const wrong = err instanceof Refusal && err.status === 401;
    say(byId('gate-error'), wrong ? 'This is not an admin token of this node.' : err instanceof Silence ? `The node does not answer: ${err.message}.` : err.message);
    byId('token').select();
    return;
  }
  token = given;
  sessionStorage.setItem(tokenKey, token);
  byId('token').value = '';
  showDesk();
};
byId('sign-out').onclick = () => signOut();
byId('retry').onclick = resume;
document.addEventListener('visibilitychange', () => {
  if (!token) return;
  if (document.hidden) pause();
  else showDesk();
});

if (token) showDesk();
else showGate();
