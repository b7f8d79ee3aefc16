// The candles of one symbol and interval that the server keeps: the newest ones, older ones as the
// visitor scrolls back, and the running one as it comes over the connection.

import { get } from './api.js';

const page = 500;

/**
 * @typedef {object} Point one candle; numbers are for drawing only
 * @property {number} time its start, seconds since 1970
 * @property {[open: number, high: number, low: number, close: number]} bid
 * @property {[open: number, high: number, low: number, close: number]} ask
 * @property {boolean} complete false: ticks of it are missing
 */

export class Candles {
  /** Oldest first. @type {Point[]} */
  points = [];
  /** Counts changes of all but the last point. */
  changes = 0;
  /** The server keeps none. */
  absent = false;
  #path;
  #loading = false;
  #whole = false; // there are no older ones
  #abort = new AbortController();

  /**
   * @param {string} symbol
   * @param {string} interval
   * @param {() => void} changed
   */
  constructor(symbol, interval, changed) {
    this.#path = `api/v1/quotes/${symbol}/candles?interval=${interval}&limit=${page}`;
    this.changed = changed;
  }

  /** Loads the newest candles, again after a loss of the connection. */
  newest() {
    return this.#load('');
  }

  /** Loads older candles, if there are any. */
  older() {
    const first = this.points[0];
    if (!first || this.#whole) return undefined;
    return this.#load(`&before=${new Date(first.time * 1000).toISOString()}`);
  }

  /** Ends the load under way. */
  stop() {
    this.#abort.abort();
  }

  /** @param {string} before */
  async #load(before) {
    if (this.#loading) return;
    this.#loading = true;
    this.#abort = new AbortController();
    try {
      const list = await get(this.#path + before, this.#abort.signal);
      if (!Array.isArray(list)) return;
      if (list.length < page) this.#whole = true;
      this.#merge(list.map(pointOf));
    } catch (e) {
      if ([400, 404, 501].includes(/** @type {{ status?: number }} */ (e).status ?? 0)) this.absent = true;
    } finally {
      this.#loading = false;
      this.changed();
    }
  }

  /** @param {Point[]} points oldest first */
  #merge(points) {
    const byTime = new Map([...this.points, ...points].map((p) => [p.time, p]));
    this.points = [...byTime.values()].sort((a, b) => a.time - b.time);
    this.changes++;
  }

  /**
   * Takes a candle of the connection in.
   *
   * @param {any} data
   */
  take(data) {
    const point = pointOf(data);
    const last = this.points.at(-1);
    if (!last || point.time > last.time) this.points.push(point);
    else if (point.time === last.time) this.points[this.points.length - 1] = point;
    else this.#merge([point]);
    this.changed();
  }
}

/**
 * @param {any} data a candle of the server
 * @returns {Point}
 */
function pointOf({ t, bid, ask, complete }) {
  return { time: Date.parse(t) / 1000, bid: bid.map(Number), ask: ask.map(Number), complete: complete !== false };
}
