// The ticks of one symbol that this page has, and candles of a few seconds made of them: of the bid, and
// the last ask. Times are seconds since 1970 and never decrease, even if those of a producer do.

import { Ring } from './ring.js';

const keptTicks = 1000;

/** The lengths of candles in seconds, and the number of candles kept of each. */
const kept = new Map([[1, 300], [5, 360]]);

export class History {
  constructor() {
    /** Columns: time, bid, ask. */
    this.ticks = new Ring(3, keptTicks);
    /** Columns: time, open, high, low, close, ask. One ring per interval.
     * @type {Map<number, Ring>} */
    this.candles = new Map();
    for (const [seconds, count] of kept) this.candles.set(seconds, new Ring(6, count));
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
    for (const [seconds, ring] of this.candles) addToCandle(ring, Math.floor(time / seconds) * seconds, Number(bid), Number(ask));
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
 * @param {number} bid
 * @param {number} ask
 */
function addToCandle(ring, time, bid, ask) {
  const i = ring.length - 1;
  if (i < 0 || time > ring.at(i, 0)) {
    ring.push(time, bid, bid, bid, bid, ask);
    return;
  }
  ring.set(i, ring.at(i, 0), ring.at(i, 1), Math.max(ring.at(i, 2), bid), Math.min(ring.at(i, 3), bid), bid, ask);
}

/**
 * @param {Ring} older grows
 * @param {Ring} newer
 */
function joinCandles(older, newer) {
  for (let i = 0; i < newer.length; i++) {
    const row = [0, 1, 2, 3, 4, 5].map((column) => newer.at(i, column));
    const end = older.length - 1;
    if (end < 0 || row[0] > older.at(end, 0)) older.push(...row);
    else {
      older.set(end, older.at(end, 0), older.at(end, 1), Math.max(older.at(end, 2), row[2]), Math.min(older.at(end, 3), row[3]), row[4], row[5]);
    }
  }
}
