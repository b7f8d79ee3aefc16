// The state of every symbol.

import { History } from './history.js';
import { compare, decimals } from './price.js';

/**
 * @typedef {import('./client/message.js').Quote} Quote
 * @typedef {import('./client/message.js').Day} Day
 * @typedef {'live'|'stale'|'closed'|'unknown'} Status
 */

const mostDigits = 64; // after the point of a price

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
    /** A price has come, whose digits hold. */
    this.priced = false;
    /** The text that the producer sent, or '' if it sent none. */
    this.bidSize = '';
    this.askSize = '';
    /** @type {-1|0|1} direction of the last change, kept until the next */
    this.bidMove = 0;
    /** @type {-1|0|1} */
    this.askMove = 0;
    /** Figures of the bid in the trading day. @type {Day|undefined} */
    this.day = undefined;
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
  /** The server's description of each symbol. @type {Map<string, any>} */
  #described = new Map();

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
      this.#describe(i);
    }
    this.changed.add(i);
    return i;
  }

  /**
   * Takes in the server's list of symbols, which has their digits and pips.
   *
   * @param {any[]} list
   */
  describe(list) {
    for (const item of list) {
      if (typeof item?.symbol !== 'string') continue;
      this.#described.set(item.symbol, item);
      const i = this.instruments.get(item.symbol);
      if (!i) continue;
      this.#describe(i);
      this.changed.add(i);
    }
  }

  /** @param {Instrument} i */
  #describe(i) {
    const { digits, pip } = this.#described.get(i.symbol) ?? {};
    if (Number.isInteger(digits) && digits >= 0 && digits <= mostDigits && !i.priced) i.digits = digits; // else the prices have shown them
    if (typeof pip === 'string' && /^\d*\.?\d+$/.test(pip)) {
      i.pip = pip;
      i.pipDecimals = decimals(pip);
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

  /** @param {Day} day */
  setDay(day) {
    this.instrument(day.symbol).day = day;
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
    i.digits = Math.max(i.priced ? i.digits : 0, decimals(q.bid), decimals(q.ask));
    i.priced = true;
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
