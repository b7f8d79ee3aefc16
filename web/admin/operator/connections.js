// The connected clients, the node of each, and how far it is behind.

import { byId, cell, fill, make, say } from '/dom.js';
import { bytes, count, missing, moment, seconds } from '/format.js';

const columns = 9;

/**
 * The table of connections. Rows keep their elements, so that the focus stays in place.
 * The order does not change while the pointer or the focus is in the table.
 */
export class Connections {
  /** @param {{kick: (c: any) => void, revoke: (c: any) => void, look: (user: string) => void}} act */
  constructor(act) {
    this.act = act;
    this.table = byId('connections');
    this.rows = new Map();
  }

  /**
   * @param {any} answer The answer of /api/v1/connections.
   * @param {boolean} reachable Whether Redis is reachable; nodes see each other through it.
   */
  show(answer, reachable) {
    const { connections, silent } = answer;
    const shown = connections.length < answer.total ? `${count(connections.length)} of ${count(answer.total)}` : count(answer.total);
    const nodes = Object.keys(answer.nodes).length;
    const alone = nodes === 1 && !reachable;
    say(byId('connections-note'), alone ? `${shown} on this node; other nodes are not visible while Redis is lost` : silent.length
      ? `${shown} on the ${nodes} ${nodes === 1 ? 'node' : 'nodes'} that answered; no answer from ${silent.join(', ')}`
      : `${shown} on ${nodes} ${nodes === 1 ? 'node' : 'nodes'}`);
    byId('connections-note').dataset.bad = String(alone || silent.length > 0);

    const body = this.table.tBodies[0];
    if (connections.length === 0) {
      this.rows.clear();
      fill(this.table, [], alone || silent.length ? 'None on the nodes that answered.' : 'Nobody is connected.');
      return;
    }
    body.querySelector('.empty')?.remove();
    const there = new Set();
    for (const c of connections) {
      const key = `${c.node} ${c.conn_id}`;
      there.add(key);
      if (!this.rows.has(key)) this.rows.set(key, this.row(c));
      this.update(this.rows.get(key), c);
    }
    for (const [key, row] of this.rows) {
      if (there.has(key)) continue;
      row.remove();
      this.rows.delete(key);
    }
    if (this.table.matches(':hover') || this.table.contains(document.activeElement)) {
      for (const key of there) if (!this.rows.get(key).isConnected) body.append(this.rows.get(key));
      return;
    }
    [...there].forEach((key, i) => {
      const row = this.rows.get(key);
      if (body.rows[i] !== row) body.insertBefore(row, body.rows[i] ?? null);
    });
  }

  row(c) {
    const tr = make('tr');
    tr.dataset.conn = c.conn_id;
    const who = make('button', { type: 'button', className: 'text', title: `Sessions of ${c.user_id}`, onclick: () => this.act.look(tr.entry.user_id) }, c.user_id);
    const id = make('span', { className: 'dim' }, ` ${c.role}, ${c.kind === 'sse' ? 'event stream' : 'socket'}`);
    const user = make('th', { scope: 'row', className: 'cut' }, who, id);
    const button = (word, label, act) => {
      const b = make('button', { type: 'button', className: 'small', onclick: () => act(tr.entry) }, word);
      b.setAttribute('aria-label', label);
      b.dataset.act = word.toLowerCase();
      return b;
    };
    const actions = make('td', { className: 'actions' },
      button('Kick', `Kick connection ${c.conn_id} of ${c.user_id}`, this.act.kick),
      button('Revoke', `Revoke the session of ${c.user_id} that connection ${c.conn_id} uses`, this.act.revoke));
    tr.append(user);
    for (let i = 1; i < columns - 1; i++) tr.append(cell('', { kind: i < 5 ? 'n' : i === 5 ? 'cut' : '' }));
    tr.append(actions);
    return tr;
  }

  update(tr, c) {
    tr.entry = c;
    const [who, , waiting, quotes, stalled, symbols, node, address, since] = [tr.cells[0].firstChild, ...tr.cells];
    say(who, c.user_id);
    say(waiting, bytes(c.waiting_bytes));
    say(quotes, count(c.waiting_quotes));
    say(stalled, c.stalled_seconds > 0 ? seconds(c.stalled_seconds) : '–');
    say(symbols, count(c.symbols) + (c.mode && c.mode !== 'latest' ? ` ${c.mode}` : ''));
    quotes.title = c.skipped_quotes === null ? '' : `${count(c.skipped_quotes)} skipped since it connected`;
    for (const td of [quotes, symbols]) td.classList.toggle('words', td.textContent === missing);
    say(node, c.node);
    node.title = c.node;
    say(address, c.address || missing);
    say(since, moment(c.since));
    tr.dataset.bad = String(c.stalled_seconds >= 1);
  }
}
