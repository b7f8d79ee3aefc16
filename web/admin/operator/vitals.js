// The tiles: this node's own numbers, from two samples of its metrics.

import { byId, make, say } from '/dom.js';
import { bytes, count, decimal, missing, percent, seconds } from '/format.js';
import { increase, quantile, rate, value } from '/metrics.js';

const samplesBack = 5; // for quantiles
const longest = 10_000; // ms between samples; a longer interval does not describe the present

const join = (...parts) => parts.filter(Boolean).join(', ');
const per = (n, unit = '') => (n === undefined ? missing : `${decimal(n)}${unit}/s`);

/** Whether no client of this node subscribes. The node then receives no quotes, which is no fault. */
const idle = (now) => value(now, 'fx_hub_subscriptions') === 0;

/**
 * The tiles by id and name. A tile shows `main` large and `more` below it. `bad` names the text
 * that needs attention.
 *
 * @type {[string, string, (now: any, last: any, then: any, ratio: any) => {main: string, more?: string, bad?: 'main' | 'more' | false}][]}
 */
const tiles = [
  ['clients', 'Clients', (now) => {
    const n = value(now, 'fx_hub_clients');
    return { main: count(n), more: `${count(value(now, 'fx_hub_subscriptions'))} subscriptions` };
  }],
  ['received', 'Quotes in', (now, last) => {
    const n = rate(last, now, 'fx_feed_received_total');
    const missed = value(now, 'fx_feed_missed_total');
    const all = value(now, 'fx_feed_ticks_per_second'); // with or without clients
    if (idle(now) && n === 0 && all > 0) return { main: per(all), more: 'in the feed, none wanted here' };
    return { main: per(n), more: join(`${per(rate(last, now, 'fx_feed_published_total', { result: 'accepted' }))} accepted here`, missed > 0 && `${count(missed)} missed`), bad: missed > 0 && 'more' };
  }],
  ['delivered', 'Quotes out', (now, last) => {
    const n = rate(last, now, 'fx_hub_delivered_total');
    const size = rate(last, now, 'fx_hub_written_bytes_total');
    return { main: per(n), more: size === undefined ? missing : `${bytes(size)}/s` };
  }],
  ['conflated', 'Conflated', (now, last) => {
    const n = rate(last, now, 'fx_hub_conflated_total');
    const [left, sent] = [increase(last, now, 'fx_hub_conflated_total'), increase(last, now, 'fx_hub_delivered_total')];
    const share = left === undefined || sent === undefined ? missing : left + sent === 0 ? 'no updates' : `${percent(left / (left + sent))} of all updates`;
    return { main: per(n), more: share };
  }],
  ['latency', 'Publish to write', (now, last, then) => {
    const p = (q) => quantile(then, now, 'fx_hub_latency_seconds', q);
    const [half, most] = [p(0.5), p(0.99)];
    const n = increase(then, now, 'fx_hub_latency_seconds_count');
    if (half === null) return { main: 'nothing sent', more: 'in the last few seconds' };
    if (half === undefined) return { main: missing };
    return { main: `${seconds(half)} · ${seconds(most)}`, more: `p50 · p99 of ${count(n)} quotes in ${seconds((now.at - then.at) / 1000)}` };
  }],
  ['stuck', 'Stuck clients', (now) => {
    const n = value(now, 'fx_hub_stuck_clients');
    const pending = value(now, 'fx_hub_pending_bytes');
    return { main: count(n), more: `${bytes(pending)} pending`, bad: n > 0 && 'main' };
  }],
  ['symbols', 'Symbols live', (now) => {
    const of = (status) => value(now, 'fx_feed_symbols', { status });
    const stale = of('stale');
    const age = value(now, 'fx_feed_newest_tick_age_seconds');
    if (idle(now) && of('unknown') > 0 && age >= 0) {
      return { main: age < 60 ? 'feed runs' : 'feed is still', more: `${count(of('unknown'))} symbols, newest ${seconds(age)} ago` };
    }
    return { main: count(of('live')), more: of('live') === undefined ? '' : `${count(stale)} stale, ${count(of('closed'))} closed, ${count(of('unknown'))} not followed here`, bad: stale > 0 && 'more' };
  }],
  ['refused', 'Limiter refusals', (now, last) => {
    const n = rate(last, now, 'fx_limiter_decisions_total', { outcome: 'refused' });
    return { main: per(n), more: `${count(value(now, 'fx_limiter_decisions_total', { outcome: 'refused' }))} since the start` };
  }],
  ['ratio', 'Cache hit ratio', (now, last, then, ratio) => {
    if (!ratio) return { main: missing };
    const of = (r) => (r?.ratio === null && r?.hits === 0 && r?.misses === 0 ? 'no lookups' : percent(r?.ratio));
    return { main: of(ratio.cache), more: `Redis as a whole: ${of(ratio.server)}` };
  }],
];

/** All tiles, and the samples that they are computed from. */
export class Vitals {
  constructor() {
    this.samples = [];
    this.tiles = tiles.map(([id, name, of]) => {
      const main = make('p', { className: 'main', id: `tile-${id}` }, '…');
      const more = make('p', { className: 'more' });
      const tile = make('li', { className: id }, make('h3', {}, name), main, more);
      byId('tiles').append(tile);
      return { of, main, more, tile };
    });
  }

  /** @param {import('/metrics.js').Sample} sample @param {any} ratio The last answer of the hit ratio's call. */
  show(sample, ratio) {
    const last = this.samples.at(-1);
    if (last && sample.at - last.at > longest) this.samples = [];
    this.samples.push(sample);
    this.samples = this.samples.slice(-samplesBack - 1);
    const before = this.samples.at(-2);
    for (const t of this.tiles) {
      let shown = t.of(sample, before, this.samples.length > 1 ? this.samples[0] : undefined, ratio);
      if (!before && shown.main === missing) {
        const earlier = { ...sample, at: sample.at - 1 }; // would the tile show something with an earlier sample?
        if (t.of(sample, earlier, earlier, ratio).main !== missing) shown = { main: '…', more: 'after the next sample' };
      }
      const unknown = shown.main === missing;
      say(t.main, shown.main);
      say(t.more, unknown ? '' : (shown.more ?? ''));
      t.main.classList.toggle('words', !/^[\d<]/.test(shown.main));
      t.tile.dataset.bad = shown.bad || '';
    }
  }
}
