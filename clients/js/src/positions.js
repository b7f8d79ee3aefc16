// The position of the client in each symbol, and the check that no tick was lost.

import { bad } from './message.js';

/**
 * @typedef {import('./message.js').Quote} Quote
 *
 * @typedef {object} Gap ticks that the client did not get, reported before the quote after them
 * @property {string} symbol
 * @property {'missing'|'epoch'|'reset'} reason
 *   missing: seq does not follow, or seq and skipped do not add up.
 *   epoch: mode all: the server counts again from the start, and ticks before that may be missing.
 *   reset: mode all: ticks before the first quote may be missing.
 * @property {number} missing the number of ticks; 0 if unknown
 *
 * @typedef {object} Entry
 * @property {Quote} last the last quote; its epoch is always set, if there is one
 * @property {number} seen the last seq on this connection; 0 if none
 */

/** More symbols than any server has; it bounds the memory that a lying server can take. */
const maxSymbols = 20_000;

export class Positions {
  /** @type {Map<string, Entry>} */
  #entries = new Map();

  /** @param {string} symbol */
  get(symbol) {
    return this.#entries.get(symbol);
  }

  entries() {
    return this.#entries.values();
  }

  /**
   * Takes a quote in, and completes its epoch. It returns whether the quote is new, the gap before it,
   * and the quote before it. It throws an Error that names the fault if the server broke the protocol.
   *
   * @param {Quote} quote
   * @param {{ all: boolean, snapshot: boolean, reset: boolean }} how
   * @returns {{ fresh: boolean, gap?: Gap, last: Quote }}
   */
  take(quote, { all, snapshot, reset }) {
    const { symbol, seq } = quote;
    const entry = this.#entries.get(symbol);
    if (!entry) {
      if (this.#entries.size >= maxSymbols) bad('too many symbols');
      this.#entries.set(symbol, { last: quote, seen: seq });
      return { fresh: true, last: quote, gap: all && reset ? { symbol, reason: 'reset', missing: 0 } : undefined };
    }
    const { last, seen } = entry;
    const same = !quote.epoch || !last.epoch || quote.epoch === last.epoch;
    quote.epoch ||= last.epoch;
    if (same && !snapshot && seq <= seen) bad(`${symbol}: seq ${seq} after ${seen}`);
    entry.seen = seq;
    if (same && seq <= last.seq) return { fresh: false, last };
    entry.last = quote;
    const between = same ? seq - (all ? last.seq : seen) - 1 : 0; // seen may be older: another node was behind
    const skipped = all ? 0 : quote.skipped ?? 0;
    /** @type {Gap|undefined} */
    let gap;
    if (all && !same) gap = { symbol, reason: 'epoch', missing: 0 };
    else if (between !== skipped && same && (all || !snapshot && seen > 0)) gap = { symbol, reason: 'missing', missing: Math.max(0, between - skipped) };
    return { fresh: true, gap, last };
  }

  /**
   * Notes that the ticks after a position come again, which may include some already received.
   *
   * @param {string} symbol
   */
  resumed(symbol) {
    const entry = this.#entries.get(symbol);
    if (entry) entry.seen = 0;
  }

  /** Ends a connection: quotes of the next one need not follow, except in mode all. */
  disconnect() {
    for (const entry of this.#entries.values()) entry.seen = 0;
  }

  /**
   * Forgets the symbols that are no longer wanted.
   *
   * @param {(symbol: string) => boolean} wanted
   */
  keep(wanted) {
    for (const symbol of this.#entries.keys()) {
      if (!wanted(symbol)) this.#entries.delete(symbol);
    }
  }
}
