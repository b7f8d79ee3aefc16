// The tiles: this node's own numbers, from two looks at its metrics.

import { byId, draw, make, say } from '/dom.js';
import { bytes, count, decimal, missing, percent, seconds } from '/format.js';
import { increase, quantile, rate, value } from '/metrics.js';

const trendLength = 90; // looks
const looksBack = 5; // for quantiles
const longest = 10_000; // ms between looks; beyond that they say nothing of now

const join = (...parts) => parts.filter(Boolean).join(', ');
const per = (n, unit = '') => (n === undefined ? missing : `${decimal(n)}${unit}/s`);

/**
 * What a tile shows: `main` large, `more` below it, `trend` the number drawn, and
 * `bad` which text somebody should look at.
 *
 * @type {[string, string, (now: any, last: any, then: any, ratio: any) => {main: string, more?: string, trend?: number | null, bad?: 'main' | 'more' | false}][]}
 */
const tiles = [
  ['clients', 'Clients', (now) => {
    const n = value(now, 'fx_hub_clients');
    return { main: count(n), more: `${count(value(now, 'fx_hub_subscriptions'))} subscriptions`, trend: n };
  }],
  ['received', 'Quotes in', (now, last) => {
    const n = rate(last, now, 'fx_feed_received_total');
    const missed = value(now, 'fx_feed_missed_total');
    return { main: per(n), more: join(`${per(rate(last, now, 'fx_feed_published_total', { result: 'accepted' }))} accepted here`, missed > 0 && `${count(missed)} missed`), trend: n, bad: missed > 0 && 'more' };
  }],
  ['delivered', 'Quotes out', (now, last) => {
    const n = rate(last, now, 'fx_hub_delivered_total');
    const size = rate(last, now, 'fx_hub_written_bytes_total');
    return { main: per(n), more: size === undefined ? missing : `${bytes(size)}/s`, trend: n };
  }],
  ['conflated', 'Conflated', (now, last) => {
    const n = rate(last, now, 'fx_hub_conflated_total');
    const [left, sent] = [increase(last, now, 'fx_hub_conflated_total'), increase(last, now, 'fx_hub_delivered_total')];
    const share = left === undefined || sent === undefined ? missing : left + sent === 0 ? 'nothing was due' : `${percent(left / (left + sent))} of what was due`;
    return { main: per(n), more: share, trend: n };
  }],
  ['latency', 'Publish to write', (now, last, then) => {
    const p = (q) => quantile(then, now, 'fx_hub_latency_seconds', q);
    const [half, most] = [p(0.5), p(0.99)];
    const n = increase(then, now, 'fx_hub_latency_seconds_count');
    if (half === null) return { main: 'nothing sent', more: 'in the last few seconds', trend: null };
    if (half === undefined) return { main: missing };
    return { main: `${seconds(half)} · ${seconds(most)}`, more: `p50 · p99 of ${count(n)} quotes in ${seconds((now.at - then.at) / 1000)}`, trend: most === Infinity ? null : most };
  }],
  ['stuck', 'Stuck clients', (now) => {
    const n = value(now, 'fx_hub_stuck_clients');
    const pending = value(now, 'fx_hub_pending_bytes');
    return { main: count(n), more: `${bytes(pending)} pending`, trend: pending, bad: n > 0 && 'main' };
  }],
  ['symbols', 'Symbols live', (now) => {
    const of = (status) => value(now, 'fx_feed_symbols', { status });
    const stale = of('stale');
    return { main: count(of('live')), more: of('live') === undefined ? '' : `${count(stale)} stale, ${count(of('closed'))} closed, ${count(of('unknown'))} unknown here`, trend: stale, bad: stale > 0 && 'more' };
  }],
  ['refused', 'Limiter refusals', (now, last) => {
    const n = rate(last, now, 'fx_limiter_decisions_total', { outcome: 'refused' });
    return { main: per(n), more: `${count(value(now, 'fx_limiter_decisions_total', { outcome: 'refused' }))} since the start`, trend: n };
  }],
  ['ratio', 'Cache hit ratio', (now, last, then, ratio) => {
    if (!ratio) return { main: missing };
    const of = (r) => (r?.ratio === null && r?.hits === 0 && r?.misses === 0 ? 'no look-ups' : percent(r?.ratio));
    return { main: of(ratio.cache), more: `Redis as a whole: ${of(ratio.server)}`, trend: ratio.cache.ratio };
  }],
];

const width = 120;
const height = 26;

/** The path of a trend through its known points, and of the ground below it. */
function paths(points) {
  const top = Math.max(...points.filter((n) => n !== null), 0) || 1;
  let line = '';
  let ground = '';
  let from = null;
  const x = (i) => (((i + trendLength - points.length) * width) / (trendLength - 1)).toFixed(1);
  const close = (i) => {
    if (from !== null) ground += `L${x(i)} ${height}L${x(from)} ${height}Z`;
    from = null;
  };
  points.forEach((n, i) => {
    if (n === null) return close(i - 1);
    const point = `${x(i)} ${(height - 1 - (n / top) * (height - 3)).toFixed(1)}`;
    line += (from === null ? 'M' : 'L') + point;
    ground += (from === null ? 'M' : 'L') + point;
    from ??= i;
  });
  close(points.length - 1);
  return [line, ground];
}

/** All tiles, their trends and the looks they come from. */
export class Vitals {
  constructor() {
    this.looks = [];
    this.tiles = tiles.map(([id, name, of]) => {
      const main = make('p', { className: 'main', id: `tile-${id}` }, '…');
      const more = make('p', { className: 'more' });
      const [line, ground] = [draw('path', { class: 'line' }), draw('path', { class: 'ground' })];
      const svg = draw('svg', { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: 'none', 'aria-hidden': 'true' }, ground, line);
      const tile = make('li', { className: id }, make('h3', {}, name), main, more, svg);
      byId('tiles').append(tile);
      return { of, main, more, line, ground, tile, trend: [] };
    });
  }

  /** @param {import('/metrics.js').Sample} sample @param {any} ratio What the hit ratio's call answered last. */
  show(sample, ratio) {
    const last = this.looks.at(-1);
    if (last && sample.at - last.at > longest) {
      this.looks = [];
      for (const t of this.tiles) t.trend.push(null);
    }
    this.looks.push(sample);
    this.looks = this.looks.slice(-looksBack - 1);
    const before = this.looks.at(-2);
    for (const t of this.tiles) {
      let shown = t.of(sample, before, this.looks.length > 1 ? this.looks[0] : undefined, ratio);
      if (!before && shown.main === missing) {
        const earlier = { ...sample, at: sample.at - 1 }; // would there be something to show with a look before?
        if (t.of(sample, earlier, earlier, ratio).main !== missing) shown = { main: '…', more: 'from the next look on' };
      }
      const unknown = shown.main === missing;
      say(t.main, shown.main);
      say(t.more, unknown ? '' : (shown.more ?? ''));
      t.main.classList.toggle('words', !/^[\d<]/.test(shown.main));
      t.tile.dataset.bad = shown.bad || '';
      t.trend = [...t.trend, shown.trend ?? null].slice(-trendLength);
      const [line, ground] = paths(t.trend);
      t.line.setAttribute('d', line);
      t.ground.setAttribute('d', ground);
    }
  }
}
