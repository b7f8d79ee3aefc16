// The plots of one node's history, which share the time that is pointed at, and their table.

import { choose, chosen, onChoice } from '/address.js';
import { byId, cell, fill, make, say } from '/dom.js';
import { bytes, count, decimal, moment, seconds } from '/format.js';
import { Refusal } from '/node.js';
import { Plot } from '/plot.js';

const short = new Intl.NumberFormat('en', { maximumSignificantDigits: 3, notation: 'compact' });
const perSecond = (n) => `${decimal(n)}/s`;
const rate = { unit: 'per second', show: perSecond, mark: (n) => short.format(n) };
const time = { unit: 'time', show: seconds, mark: seconds };

const kinds = [
  { ...rate, title: 'Quotes in', lines: [['received_quotes_per_second', 'received'], ['feed_quotes_per_second', 'in the feed']] },
  { ...rate, title: 'Quotes out', lines: [['delivered_quotes_per_second', '']] },
  { title: 'Clients', unit: 'connected', show: count, mark: (n) => short.format(n), least: 1, lines: [['clients', '']] },
  { ...time, title: 'Delay', unit: 'due to sent, p99', lines: [['delay_p99_seconds', '']] },
  { ...rate, title: 'Rejected quotes', lines: [['rejected_quotes_per_second', '']] },
  { ...time, title: 'Redis', unit: 'round trip', lines: [['redis_ping_seconds', '']] },
  { title: 'Memory', unit: 'of the node', show: bytes, mark: bytes, binary: true, lines: [['memory_bytes', '']] },
];
const columns = kinds.flatMap(({ title, unit, show, lines }) => lines.map(([series, name]) => ({ series, show, title: `${title} ${name || unit}` })));
const rows = 12; // of the table

const ranges = ['1h', '24h'];
const range = () => (ranges.includes(chosen('range')) ? chosen('range') : '1h');

export class Plots {
  /**
   * @param {(path: string, signal: AbortSignal) => Promise<any>} get
   * @param {() => void} hurry Loads at once, after another choice.
   */
  constructor(get, hurry) {
    this.get = get;
    this.names = [];
    this.here = '';
    this.loaded = { key: '', at: -Infinity };
    this.plots = kinds.map((kind) => new Plot(kind, (at) => this.plots.forEach((p) => p.mark(at))));
    byId('plots').append(...this.plots.map((p) => p.element));
    byId('history').tHead.rows[0].append(...columns.map(({ title }) => make('th', { scope: 'col', className: 'n' }, title)));
    for (const b of byId('ranges').children) b.onclick = () => choose({ range: b.dataset.range });
    byId('plots-node').onchange = () => choose({ node: byId('plots-node').value });
    onChoice(() => {
      if (this.key() === this.loaded.key) return;
      this.choices();
      this.unknown('loading');
      hurry();
    });
    this.choices();
  }

  key() {
    return `${range()} ${chosen('node')}`;
  }

  /** Shows which nodes can be chosen. @param {string[]} names @param {string} here The name of this node. */
  nodes(names, here) {
    this.names = names;
    this.here = here;
    this.choices();
  }

  choices() {
    const node = chosen('node');
    const others = [...new Set([...this.names, node])].filter((n) => n && n !== this.here);
    const options = [['', this.here ? `this node, ${this.here}` : 'this node'], ...others.map((n) => [n, this.names.includes(n) || !this.here ? n : `${n}, not seen`])];
    const select = byId('plots-node');
    const made = options.map(([value, text]) => make('option', { value }, text));
    const same = made.length === select.options.length && made.every((o, i) => o.value === select.options[i].value && o.text === select.options[i].text);
    if (!same) select.replaceChildren(...made);
    select.value = node === this.here ? '' : node;
    for (const b of byId('ranges').children) b.setAttribute('aria-pressed', String(b.dataset.range === range()));
  }

  /** Loads the chosen history, unless the last answer is newer than a step. */
  async load(signal) {
    const key = this.key();
    const every = range() === '1h' ? 10_000 : 60_000;
    if (key === this.loaded.key && performance.now() - this.loaded.at < every - 1000) return;
    const node = chosen('node');
    let answer = null;
    let why = '';
    try {
      answer = await this.get(`/api/v1/metrics/history?range=${range()}${node ? `&node=${encodeURIComponent(node)}` : ''}`, signal);
    } catch (err) {
      if (!(err instanceof Refusal) || err.status < 404) throw err;
      why = err.message;
    }
    if (key !== this.key()) return; // another choice was made meanwhile
    if (!answer) {
      this.loaded = { key, at: -Infinity };
      return this.unknown(`unknown: ${why}`);
    }
    this.loaded = { key, at: performance.now() };
    this.show(answer);
  }

  show({ node, now, until, step_seconds, points, series }) {
    const step = 1000 * step_seconds;
    const to = Date.parse(now);
    const n = until ? series.clients.length : 0;
    const past = { from: to - points * step, to, first: Date.parse(until ?? now) - Math.max(0, n - 1) * step, step, count: n, series };
    for (const p of this.plots) p.show(past);
    say(byId('plots-note'), `of ${node === this.here || !chosen('node') ? 'this node' : node}` + (n && past.first > past.from + 2 * step ? `, since ${moment(past.first)}` : ''));
    byId('plots-note').dataset.bad = 'false';
    this.table(past);
  }

  /** Shows that nothing is known, which is not the same as zero. */
  unknown(why) {
    for (const p of this.plots) p.show(null, 'unknown');
    say(byId('plots-note'), why);
    byId('plots-note').dataset.bad = String(why !== 'loading');
    fill(byId('history'), [], 'Unknown.');
  }

  /** The highest value of each part of the range, as a table. */
  table({ from, to, first, step, count: n, series }) {
    const part = (to - from) / rows;
    const shown = [];
    for (let start = to - part; start > from - part / 2; start -= part) {
      const [a, b] = [start, start + part].map((t) => Math.min(n, Math.max(0, Math.ceil((t - first) / step))));
      shown.push([cell(`${moment(start)} to ${moment(start + part)}`, { head: true }), ...columns.map(({ series: name, show }) => {
        const known = (series[name] ?? []).slice(a, b).filter((x) => x !== null);
        return cell(known.length ? show(Math.max(...known)) : 'unknown', { kind: 'n' });
      })]);
    }
    fill(byId('history'), shown, '');
  }
}
