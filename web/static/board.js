// The state of every symbol.

import { History } from './history.js';
import { compare, decimals } from './price.js';

/**
 * @typedef {import('./client/message.js').Quote} Quote
 * @typedef {'live'|'stale'|'closed'|'unknown'} Status
 */

export class Instrument {
  /** @param {string} symbol */
  constructor(symbol) {
    this.symbol = symbol;
    /** Digits after the point, of the price and of one pip; the server's list corrects them. */
    this.digits = 0;
    this.pip = symbol.endsWith('/JPY') ? '0.01' : '0.0001';
    this.pipDecimals = decimals(this.pip);
    this.bid = '';
    this.ask = '';
    /** The text that the producer sent, or '' if it sent none. */
    this.bidSize = '';
    this.askSize = '';
    /** @type {-1|0|1} direction of the last change, kept until the next */
    this.bidMove = 0;
    /** @type {-1|0|1} */
    this.askMove = 0;
    this.low = '';
    this.high = '';
    /** Time of the quote on the server's clock, ms since 1970. */
    this.time = 0;
    this.ticks = 0;
    this.seq = 0;
    this.epoch = '';
    this.firstSeq = 0;
    /** @type {Status} */
    this.status = 'unknown';
    this.history = new History();
  }

  get hasPrice() {
    return this.bid !== '';
  }
}

export class Board {
  constructor() {
    /** @type {Map<string, Instrument>} */
    this.instruments = new Map();
    this.counters = { updates: 0, skipped: 0, gaps: 0 };
    /** Instruments changed since the last frame was drawn.
     * @type {Set<Instrument>} */
    this.changed = new Set();
  }

  /** @param {string} symbol */
  instrument(symbol) {
    let i = this.instruments.get(symbol);
    if (!i) {
      i = new Instrument(symbol);
      this.instruments.set(symbol, i);
    }
    this.changed.add(i);
    return i;
  }

  /**
   * Applies the server's list of symbols: a bare array, or one under "symbols".
   *
   * @param {any} list
   */
  describe(list) {
    const items = Array.isArray(list) ? list : list?.symbols;
    if (!Array.isArray(items)) return;
    for (const item of items) {
      if (typeof item?.symbol !== 'string') continue;
      const i = this.instrument(item.symbol);
      if (Number.isInteger(item.digits)) i.digits = item.digits;
      if (/^\d*\.?\d+$/.test(item.pip)) {
        i.pip = item.pip;
        i.pipDecimals = decimals(item.pip);
      }
      if (!i.hasPrice && isStatus(item.status) && item.status !== 'live') i.status = item.status;
    }
  }

  /** @param {Quote} q */
  take(q) {
    const i = this.instrument(q.symbol);
    const known = i.hasPrice && i.seq === q.seq && i.epoch === q.epoch;
    if (known) return this.#setStatus(i, q.status ?? 'live');
    this.counters.updates++;
    this.counters.skipped += q.skipped ?? 0;
    i.seq = q.seq;
    i.epoch = q.epoch ?? '';
    this.#take(i, q);
  }

  /**
   * @param {string} symbol
   * @param {unknown} status
   */
  setStatus(symbol, status) {
    this.#setStatus(this.instrument(symbol), status);
  }

  /**
   * @param {Instrument} i
   * @param {unknown} status
   */
  #setStatus(i, status) {
    if (!isStatus(status)) return;
    i.status = status;
    if (status === 'unknown') i.bid = i.ask = i.bidSize = i.askSize = ''; // the server has no price any more, so the page shows none
  }

  /**
   * The state of all prices: live if any price is live or if there is none, closed if every
   * market is closed, else stale.
   *
   * @returns {'live'|'stale'|'closed'}
   */
  get state() {
    /** @type {Set<Status>} */
    const found = new Set();
    for (const i of this.instruments.values()) found.add(i.status);
    if (found.has('live')) return 'live';
    return found.has('stale') ? 'stale' : found.has('closed') ? 'closed' : 'live';
  }

  /** Forgets the prices but not the symbols, after the visitor has signed out. */
  clear() {
    for (const i of this.instruments.values()) {
      i.bid = i.ask = i.bidSize = i.askSize = i.low = i.high = '';
      i.bidMove = i.askMove = 0;
      i.seq = i.firstSeq = i.ticks = i.time = 0;
      i.status = 'unknown';
      i.history = new History();
      this.changed.add(i);
    }
  }

  /**
   * @param {Instrument} i
   * @param {Quote} q
   */
  #take(i, q) {
    if (i.hasPrice) {
      const bidMove = compare(q.bid, i.bid);
      const askMove = compare(q.ask, i.ask);
      if (bidMove !== 0) i.bidMove = bidMove;
      if (askMove !== 0) i.askMove = askMove;
    }
    i.bid = q.bid;
    i.ask = q.ask;
    i.bidSize = q.bid_size ?? '';
    i.askSize = q.ask_size ?? '';
    i.digits = Math.max(i.digits, decimals(q.bid), decimals(q.ask));
    if (i.low === '' || compare(q.bid, i.low) < 0) i.low = q.bid;
    if (i.high === '' || compare(q.ask, i.high) > 0) i.high = q.ask;
    i.time = Date.parse(q.ts);
    this.#setStatus(i, q.status ?? 'live');
    i.ticks += 1 + (q.skipped ?? 0);
    if (i.firstSeq === 0) i.firstSeq = q.seq;
    i.history.add(i.time / 1000, q.bid, q.ask);
  }
}

/**
 * @param {unknown} s
 * @returns {s is Status}
 */
function isStatus(s) {
  return s === 'live' || s === 'stale' || s === 'closed' || s === 'unknown';
}
