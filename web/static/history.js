// The data of the chart of one symbol: its last ticks, and candles of the mid price. Times are
// seconds since 1970 and never decrease, even if those of a producer do.

import { midpoint } from './price.js';
import { Ring } from './ring.js';

const keptTicks = 1000;

/** The lengths of candles in seconds, and the number of candles kept of each. */
export const intervals = new Map([[1, 300], [5, 360], [60, 480]]);

export class History {
  constructor() {
    /** Columns: time, bid, ask. */
    this.ticks = new Ring(3, keptTicks);
    /** Columns: time, open, high, low, close. One ring per interval.
     * @type {Map<number, Ring>} */
    this.candles = new Map();
    for (const [seconds, kept] of intervals) this.candles.set(seconds, new Ring(5, kept));
    this.changes = 0;
  }

  /**
   * @param {number} time seconds since 1970
   * @param {string} bid
   * @param {string} ask
   */
  add(time, bid, ask) {
    const { ticks } = this;
    if (ticks.length > 0) time = Math.max(time, ticks.at(ticks.length - 1, 0) + 0.001);
    ticks.push(time, Number(bid), Number(ask));
    const mid = midpoint(bid, ask);
    for (const [seconds, ring] of this.candles) addToCandle(ring, Math.floor(time / seconds) * seconds, mid);
    this.changes++;
  }

  /**
   * Returns a new history that begins with older quotes and continues with this one.
   *
   * @param {import('./board.js').Quote[]} older in the order of their sequence
   */
  after(older) {
    const merged = new History();
    for (const q of older) merged.add(Date.parse(q.ts) / 1000, q.bid, q.ask);
    const { ticks } = this;
    let last = merged.ticks.length > 0 ? merged.ticks.at(merged.ticks.length - 1, 0) : 0;
    for (let i = 0; i < ticks.length; i++) {
      last = Math.max(ticks.at(i, 0), last + 0.001);
      merged.ticks.push(last, ticks.at(i, 1), ticks.at(i, 2));
    }
    for (const [seconds, ring] of this.candles) joinCandles(/** @type {Ring} */ (merged.candles.get(seconds)), ring);
    merged.changes = this.changes + 1;
    return merged;
  }
}

/**
 * @param {Ring} ring
 * @param {number} time start of the candle
 * @param {number} price
 */
function addToCandle(ring, time, price) {
  const i = ring.length - 1;
  if (i < 0 || time > ring.at(i, 0)) {
    ring.push(time, price, price, price, price);
    return;
  }
  ring.set(i, ring.at(i, 0), ring.at(i, 1), Math.max(ring.at(i, 2), price), Math.min(ring.at(i, 3), price), price);
}

/**
 * @param {Ring} older grows
 * @param {Ring} newer
 */
function joinCandles(older, newer) {
  for (let i = 0; i < newer.length; i++) {
    const row = [0, 1, 2, 3, 4].map((column) => newer.at(i, column));
    const end = older.length - 1;
    if (end < 0 || row[0] > older.at(end, 0)) older.push(...row);
    else {
      older.set(end, older.at(end, 0), older.at(end, 1), Math.max(older.at(end, 2), row[2]), Math.min(older.at(end, 3), row[3]), row[4]);
    }
  }
}
