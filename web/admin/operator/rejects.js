// The rejected quotes: grouped by reason, and one by one.

import { byId, cell, fill, make, say } from '/dom.js';
import { drillInto } from '/drill.js';
import { count, missing, moment } from '/format.js';
import { value } from '/metrics.js';

const plain = (reason) => reason.replaceAll('_', ' ');
const shown = 50;

/** The last answer, and the reason that the operator has chosen; '' = all. */
export class Rejects {
  constructor() {
    this.entries = [];
    this.reason = '';
  }

  /** @param {any[] | null} entries The answer of /api/v1/feed/rejected, newest first. */
  show(entries) {
    this.entries = entries ?? [];
    const groups = new Map();
    for (const e of this.entries) groups.set(e.reason, (groups.get(e.reason) ?? 0) + 1);
    if (!groups.has(this.reason)) this.reason = '';
    const choices = !this.entries.length ? [] : [['', this.entries.length], ...[...groups].sort((a, b) => b[1] - a[1])];
    const list = byId('reasons');
    const made = choices.map(([reason, n]) => this.choice(reason, n));
    // Buttons that stay keep the focus.
    if (made.length === list.children.length && made.every((b, i) => b.dataset.reason === list.children[i].dataset.reason)) {
      made.forEach((b, i) => {
        say(list.children[i], b.textContent);
        list.children[i].setAttribute('aria-pressed', b.getAttribute('aria-pressed'));
      });
    } else {
      list.replaceChildren(...made);
    }
    const chosen = this.entries.filter((e) => !this.reason || e.reason === this.reason);
    fill(byId('rejected'), chosen.slice(0, shown).map((e) => [
      cell(moment(e.ts), { head: true }),
      cell(plain(e.reason), { kind: 'reason' }),
      cell(e.message, { kind: 'cut', full: e.message }),
      cell(drillInto('symbol', e.symbol)),
      cell(drillInto('source', e.source), { full: `via ${e.via}` }),
      cell(e.input, { kind: 'code cut', full: e.input }),
    ]), 'No quote was rejected.');
  }

  choice(reason, n) {
    const b = make('button', { type: 'button', className: 'small', onclick: () => {
      this.reason = reason;
      this.show(this.entries);
    } }, `${reason ? plain(reason) : 'all'} ${count(n)}`);
    b.dataset.reason = reason;
    b.setAttribute('aria-pressed', String(reason === this.reason));
    return b;
  }
}

/** Shows how many quotes this node has rejected, by reason. */
export function showReasons(sample) {
  const total = value(sample, 'fx_feed_rejected_total');
  const by = (sample.series.get('fx_feed_rejected_total') ?? []).filter((s) => s.value > 0).sort((a, b) => b.value - a.value);
  say(byId('rejected-note'), total === undefined ? missing
    : `on this node since its start: ${total === 0 ? 'none' : by.map((s) => `${plain(s.labels.reason)} ${count(s.value)}`).join(', ')}`);
}
