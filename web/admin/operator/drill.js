// One symbol, source or user in full: the panel that the address chooses, as #symbol=EUR/USD.

import { choose, chosen, link, onChoice } from '/address.js';
import { byId, cell, facts, fill, make, say } from '/dom.js';
import { bytes, count, moment, seconds } from '/format.js';
import { Refusal } from '/node.js';

const kinds = ['symbol', 'source', 'user'];
const none = '–';
const plain = (reason) => reason.replaceAll('_', ' ');

/** Returns a link to one symbol, source or user. @param {'symbol' | 'source' | 'user'} kind */
export const drillInto = (kind, name) => (name ? link(name, only(kind, name)) : none);
const only = (kind, name) => Object.fromEntries(kinds.map((k) => [k, k === kind ? name : '']));

const reasonsOf = (counts) => Object.entries(counts ?? {}).sort((a, b) => b[1] - a[1]).map(([reason, n]) => `${plain(reason)} ${count(n)}`).join(', ');
const time = (at) => (at ? moment(at) : none);
const outliers = (s) => (s.outliers ? `${count(s.outliers)} in a row, last ${s.outlier_mid} at ${moment(s.outlier_at)}` : 'none');

/** How each kind is loaded and shown: its facts, the heads of its table, its rows, and what an empty table says. */
const views = {
  symbol: {
    path: (name) => `/api/v1/feed/symbols/${name.split('/').map(encodeURIComponent).join('/')}`,
    show: ({ symbol, last, accepted, epoch, reference, sources, rejected }) => {
      const known = new Set(sources.map((s) => s.source));
      const refused = Object.keys(rejected).filter((s) => !known.has(s)).map((source) => ({ source, outliers: 0 }));
      return {
        facts: [
          ...(last ? [['Bid', last.bid], ['Ask', last.ask], ['Age', seconds(last.age_seconds)], ['Status', `${last.status} since ${moment(last.since)}`], ['Its time', moment(last.ts)], ['From', last.source], ['A confirmed gap', last.gap ? 'yes' : 'no']]
            : [['Last quote', 'none is known']]),
          ['Accepted', accepted ? `${count(accepted)} in epoch ${epoch}` : 'none'],
          ['Reference of the gate', reference ? `${reference.mid}, ${reference.firm ? 'firm' : 'not firm'}, of ${moment(reference.accepted_at)}` : 'none, so any price is accepted'],
        ],
        heads: ['Source', 'Last accepted', 'Last heard', 'Outliers', 'Rejected lately'],
        rows: [...sources, ...refused].map((s) => [
          cell(drillInto('source', s.source), { head: true }),
          cell(time(s.accepted_at) + (s.last ? ', the last quote' : '')),
          cell(time(s.heard_at ?? s.accepted_at)),
          cell(outliers(s), { kind: s.outliers ? 'bad' : '' }),
          cell(reasonsOf(rejected[s.source]) || 'none'),
        ]),
        empty: 'No source is known.',
        title: symbol,
      };
    },
  },
  source: {
    path: (name) => `/api/v1/feed/sources/${encodeURIComponent(name)}`,
    show: ({ source, symbols, rejected }) => ({
      facts: [['Symbols', count(symbols.length)], ['With its quote as the last', count(symbols.filter((s) => s.last).length)], ['Rejected lately', reasonsOf(rejected) || 'none']],
      heads: ['Symbol', 'Last accepted', 'Last heard', 'Outliers'],
      rows: symbols.map((s) => [
        cell(drillInto('symbol', s.symbol), { head: true }),
        cell(time(s.accepted_at) + (s.last ? ', the last quote' : '')),
        cell(time(s.heard_at ?? s.accepted_at)),
        cell(outliers(s), { kind: s.outliers ? 'bad' : '' }),
      ]),
      empty: 'No quote of it was accepted.',
      title: source,
    }),
  },
  user: {
    path: (name) => `/api/v1/connections?limit=200&user_id=${encodeURIComponent(name)}`,
    show: ({ total, connections, silent }, name) => ({
      facts: [['Connections', count(total) + (silent.length ? `, without ${silent.join(', ')}` : '')], ['Sessions', 'see Sessions of a user']],
      heads: ['Connection', 'Role', 'Node', 'Address', 'Since', 'Symbols', 'Waiting', 'Stalled', 'Skipped quotes'],
      rows: connections.map((c) => [
        cell(c.conn_id, { head: true, kind: 'code' }), cell(c.role), cell(c.node, { kind: 'cut', full: c.node }), cell(c.address || none), cell(moment(c.since)),
        cell(count(c.symbols) + (c.mode ? ` ${c.mode}` : '')), cell(bytes(c.waiting_bytes)), cell(c.stalled_seconds > 0 ? seconds(c.stalled_seconds) : none), cell(count(c.skipped_quotes)),
      ]),
      empty: silent.length ? 'None on the nodes that answered.' : 'No connection.',
      title: name,
    }),
  },
};

export class Drill {
  /**
   * @param {(path: string, signal: AbortSignal) => Promise<any>} get
   * @param {() => void} hurry Loads at once, after another choice.
   */
  constructor(get, hurry) {
    this.get = get;
    this.shown = '';
    byId('drill-back').onclick = (e) => {
      e.preventDefault();
      choose(only('', ''));
    };
    onChoice(() => {
      if (!this.open()) return;
      byId('drill-title').focus();
      byId('drill').scrollIntoView({ block: 'nearest' });
      hurry();
    });
    this.open();
  }

  get kind() {
    return kinds.find((k) => chosen(k));
  }

  /** Opens or closes the panel as the address says; returns whether it shows something new. */
  open() {
    const { kind } = this;
    byId('drill').hidden = !kind;
    const key = kind ? `${kind} ${chosen(kind)}` : '';
    if (key === this.shown) return false;
    this.shown = key;
    if (!kind) return false;
    say(byId('drill-title'), `${kind[0].toUpperCase()}${kind.slice(1)} ${chosen(kind)}`);
    say(byId('drill-note'), 'loading');
    facts(byId('drill-facts'), []);
    byId('drill-rows').tHead.rows[0].replaceChildren(make('th', { scope: 'col' }, kind));
    byId('drill-rows').tBodies[0].replaceChildren();
    return true;
  }

  /** Loads what is chosen; without Redis it stays as it was. */
  async load(signal) {
    const { kind, shown } = this;
    if (!kind) return;
    const name = chosen(kind);
    const view = views[kind];
    let answer = null;
    let why = '';
    try {
      answer = await this.get(view.path(name), signal);
    } catch (err) {
      if (!(err instanceof Refusal) || err.status < 404) throw err;
      why = err.message;
    }
    if (shown !== this.shown) return; // another choice was made meanwhile
    byId('drill-note').dataset.bad = String(!answer);
    if (!answer) return say(byId('drill-note'), why);
    const made = view.show(answer, name);
    say(byId('drill-note'), `as of ${moment(new Date())}`);
    facts(byId('drill-facts'), made.facts);
    const head = byId('drill-rows').tHead.rows[0];
    if (head.cells.length !== made.heads.length) head.replaceChildren(...made.heads.map((text) => make('th', { scope: 'col' }, text)));
    fill(byId('drill-rows'), made.rows, made.empty);
  }
}
