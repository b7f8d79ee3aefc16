// The symbols, with their last quotes.

import { byId, cell, fill, say } from '/dom.js';
import { drillInto } from '/drill.js';
import { count, missing, seconds } from '/format.js';

/** @param {any[] | null} list The answer of /api/v1/feed/symbols. */
export function showSymbols(list) {
  const all = list ?? [];
  fill(byId('symbols'), all.map((s) => [
    cell(drillInto('symbol', s.symbol), { head: true }),
    cell(s.bid, { kind: 'n' }),
    cell(s.ask, { kind: 'n' }),
    cell(seconds(s.age_seconds), { kind: 'n' }),
    cell(s.status, { kind: s.status === 'stale' ? 'bad' : '' }),
    cell(drillInto('source', s.source)),
  ]), 'No symbol has a quote.');
  const by = Map.groupBy(all, (s) => s.status);
  say(byId('symbols-note'), !list ? missing : all.length ? [...by].map(([status, of]) => `${count(of.length)} ${status}`).join(', ') : 'none');
}
