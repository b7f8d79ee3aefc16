// What the chart can draw of a symbol, by interval: its ticks, candles of a few seconds made of them
// here, and the candles that the server keeps.

import { Candles } from './candles.js';

/** The choices of interval: the seconds of a candle, 0 for ticks. Those of the server have its names. */
export const intervals = new Map([['0', 0], ['1', 1], ['5', 5], ['1m', 60], ['5m', 300], ['15m', 900], ['1h', 3600], ['4h', 14_400], ['1d', 86_400]]);

/** Seconds without a tick after which a price is stale. */
const silent = 10;

/** @typedef {import('./board.js').Instrument} Instrument */

/** The points of one symbol and interval. Those of ticks have bid and ask, candles also open to close. */
export class Series {
  /** @type {Candles|undefined} */
  kept;

  /**
   * @param {Instrument} instrument
   * @param {string} interval
   * @param {() => void} changed called when candles of the server have come
   */
  constructor(instrument, interval, changed) {
    this.instrument = instrument;
    this.interval = interval;
    this.seconds = intervals.get(interval) ?? 0;
    if (this.seconds >= 60) this.kept = new Candles(instrument.symbol, interval, changed);
  }

  /** Seconds from one point to the next above which there is a gap. */
  get longest() {
    if (this.seconds >= 86_400) return 4 * this.seconds; // over weekends there are no days
    return Math.max(silent, this.seconds);
  }

  get #ring() {
    const { history } = this.instrument;
    return this.seconds === 0 ? history.ticks : /** @type {import('./ring.js').Ring} */ (history.candles.get(this.seconds));
  }

  /** Changes if points other than the last and those after it have changed. */
  get version() {
    return this.kept ? this.kept.changes : this.instrument.history;
  }

  /** The number of points ever added. */
  get added() {
    return this.kept ? this.kept.points.length : this.#ring.pushed;
  }

  get length() {
    return this.kept ? this.kept.points.length : this.#ring.length;
  }

  /** @param {number} n */
  point(n) {
    if (this.kept) {
      const { time, bid: [open, high, low, close], ask } = this.kept.points[n];
      return { time, open, high, low, close, bid: close, ask: ask[3] };
    }
    const ring = this.#ring;
    if (this.seconds === 0) return { time: ring.at(n, 0), bid: ring.at(n, 1), ask: ring.at(n, 2) };
    return { time: ring.at(n, 0), open: ring.at(n, 1), high: ring.at(n, 2), low: ring.at(n, 3), close: ring.at(n, 4), bid: ring.at(n, 4), ask: ring.at(n, 5) };
  }
}
