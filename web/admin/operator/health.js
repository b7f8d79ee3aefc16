// The checks: those of Redis come from its health call, those of this node from its metrics.

import { byId, facts, make, say } from '/dom.js';
import { bytes, count, decimal, missing, seconds, span } from '/format.js';
import { value } from '/metrics.js';

const words = { ok: 'ok', warn: 'warns', fail: 'fails' };
const order = ['fail', 'warn', 'ok'];

/**
 * Returns the checks that this node's metrics allow.
 *
 * @param {import('/metrics.js').Sample | undefined} sample
 */
function nodeChecks(sample) {
  if (!sample) return [];
  const flag = (name, metric, good, bad, why, act) => {
    const n = value(sample, metric);
    const result = n === undefined ? 'unknown' : n > 0 ? 'fail' : 'ok';
    return { name, node: 'this node', result, value: n === undefined ? null : n > 0 ? bad : good, why: n > 0 ? why : '', what_to_do: n > 0 ? act : '' };
  };
  const redis = 'see Redis above, and the network between it and this node';
  const list = [
    flag('quotes', 'fx_feed_degraded', 'received from Redis', 'not received from Redis', 'clients of this node see the last prices, which are marked as old', redis),
    flag('sessions', 'fx_session_degraded', 'checked; revocations arrive', 'cannot be checked', 'revocations do not arrive; sockets stay open for at most SESSION_GRACE', redis),
    flag('limits', 'fx_limiter_degraded', 'counted in Redis', 'counted by this node alone', 'each node counts separately until Redis is back', redis),
  ];
  const panics = (value(sample, 'fx_web_panics_total') ?? 0) + (value(sample, 'fx_hub_panics_total') ?? 0);
  if (panics > 0) list.push({ name: 'panics', node: 'this node', result: 'warn', value: count(panics), limit: '0', why: 'the code of a request or a connection panicked', what_to_do: 'report the bug; the log has the panic' });
  const probe = value(sample, 'fx_feed_probe_age_seconds');
  if (probe !== undefined) list[0].value += `, probed ${seconds(probe)} ago`;
  return list;
}

function row(check) {
  const { result } = check;
  const head = make('p', {}, make('strong', {}, plain(check.name)), make('span', { className: 'dim' }, ` ${check.node} `));
  const shown = check.value ?? '';
  if (shown) head.append(make('span', { className: 'value' }, shown + (result !== 'ok' && check.limit ? ` (limit ${check.limit})` : '')));
  const item = make('li', {}, make('span', { className: 'result' }, words[result] ?? result), head);
  item.dataset.result = result;
  if (check.why) item.append(make('p', {}, check.why));
  if (check.what_to_do) item.append(make('p', { className: 'act' }, `Do: ${check.what_to_do}`));
  return item;
}

/** Returns one line for the checks that this server does not report: they are neither fine nor faults. */
function unknownRow(checks) {
  const names = [...new Set(checks.map((c) => plain(c.name)))].join(', ');
  const item = make('li', {}, make('span', { className: 'result' }, '–'), make('p', { className: 'dim' }, `${missing}: ${names}`));
  item.dataset.result = 'unknown';
  return item;
}

const plain = (name) => name.replaceAll('_', ' ');
const checksOf = (n) => `${n} ${n === 1 ? 'check' : 'checks'}`;

/** The last health of Redis and the last metrics of this node, which arrive at different times. */
export class Health {
  constructor() {
    this.redis = null;
    this.sample = undefined;
  }

  /** @param {any} redis The answer of /api/v1/redis/health. */
  showRedis(redis) {
    this.redis = redis;
    document.documentElement.dataset.redis = redis.status;
    say(byId('redis-status'), redis.status);
    const unknown = redis.checks.filter((c) => c.result === 'unknown').length;
    say(byId('redis-reason'), redis.reason || (unknown
      ? `No problem is known, but this Redis does not report ${unknown} of ${checksOf(redis.checks.length)}.` : 'All checks of Redis pass.'));
    this.show();
  }

  /** @param {import('/metrics.js').Sample} sample */
  showNode(sample) {
    this.sample = sample;
    this.show();
  }

  /** Whether Redis answered the last check. */
  get reachable() {
    return !this.redis?.checks.some((c) => c.name === 'reachable' && c.result === 'fail');
  }

  show() {
    const redis = (this.redis?.checks ?? []).map((c) => ({ ...c, node: c.node || 'Redis' }));
    const all = [...redis, ...nodeChecks(this.sample)];
    const known = all.filter((c) => c.result !== 'unknown').sort((a, b) => order.indexOf(a.result) - order.indexOf(b.result));
    const unknown = all.filter((c) => c.result === 'unknown');
    const made = known.map(row);
    if (unknown.length) made.push(unknownRow(unknown));
    const list = byId('checks');
    if (made.length !== list.children.length || !made.every((node, i) => node.isEqualNode(list.children[i]))) list.replaceChildren(...made);
    const bad = known.filter((c) => c.result !== 'ok');
    say(byId('checks-note'), [bad.length ? `${bad.length} of ${known.length} with a problem` : `${checksOf(known.length)}, no problems`,
      unknown.length && `${unknown.length} ${missing}`].filter(Boolean).join(', '));
    document.documentElement.dataset.worst = this.redis && this.sample ? (bad[0]?.result ?? 'ok') : '';
    this.bad = bad;
  }

  /** The worst of all lamps in words: how this node and its Redis are. */
  get verdict() {
    const of = (result) => (this.bad ?? []).filter((c) => c.result === result).map((c) => plain(c.name));
    const [fails, warns] = [of('fail'), of('warn')];
    if (!this.redis || !this.sample) return 'Live, checking';
    if (fails.length) return `${checksOf(fails.length)} ${fails.length === 1 ? 'fails' : 'fail'}: ${fails.join(', ')}`;
    if (warns.length) return `${checksOf(warns.length)} ${warns.length === 1 ? 'warns' : 'warn'}: ${warns.join(', ')}`;
    return 'Live, no problem known';
  }

  /** @param {any} stats The answer of /api/v1/redis/stats; null while Redis does not answer. */
  showStats(stats) {
    const redis = this.redis;
    const of = (n, most) => (n === null || n === undefined ? missing : most ? `${count(n)} of ${count(most)}` : count(n));
    const waiting = stats ? null : '–';
    const keys = stats?.keyspace?.reduce((sum, db) => sum + (db.keys ?? 0), 0);
    const all = [
      ['Round trip', waiting && !redis?.latency_seconds ? waiting : seconds(redis?.latency_seconds)],
      ['Server', waiting ?? (redis?.server || redis?.version ? [redis.server, redis.version].filter(Boolean).join(' ') : missing)],
      ['Role', waiting ?? redis?.role ?? missing],
      ['Up for', waiting ?? span(stats.uptime_seconds)],
      ['Commands', waiting ?? (stats.ops_per_second === null ? missing : `${decimal(stats.ops_per_second)}/s`)],
      ['Clients', waiting ?? of(stats.clients.connected, stats.clients.max)],
      ['Keys', waiting ?? (stats.keyspace ? count(keys) : missing)],
      ['Memory', waiting ?? bytes(stats.memory.used_bytes)],
      ['Evicted', waiting ?? count(stats.evictions)],
      ['Refused', waiting ?? count(stats.rejected_connections)],
      ['Channels', waiting ?? count(stats.pubsub.channels)],
    ];
    const unknown = all.filter(([, text]) => text === missing).map(([name]) => name.toLowerCase());
    const known = all.filter(([, text]) => text !== missing);
    facts(byId('redis-facts'), unknown.length ? [...known, ['Not available here', unknown.join(', ')]] : known);
  }
}
