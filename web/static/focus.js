// The chosen symbol: its ticket, its chart, and the earlier prices that the chart begins with.

import { get } from './api.js';
import { PriceChart } from './chart.js';
import { intervals, Series } from './series.js';
import { load, save } from './settings.js';
import { Ticket } from './ticket.js';

/**
 * @typedef {import('./board.js').Instrument} Instrument
 * @typedef {import('./feed.js').Feed} Feed
 */

const chartEvery = 450; // ms at least from one drawing of the chart to the next
const chartLate = 250; // ms that it waits for prices to share their frame
const looked = 250; // ms on a symbol, so that rows which the arrow keys pass cause no request

export class Focus {
  /** @type {Instrument|undefined} */
  chosen;
  interval = load('interval', '0');
  /** @type {Series|undefined} */
  #series;
  #timer = 0;
  #charting = 0; // the timer of a frame of its own
  #charted = -Infinity;
  /** Symbols whose earlier ticks were asked for. @type {Set<string>} */
  #seeded = new Set();
  #looking = new AbortController();

  /**
   * @param {Feed} feed
   * @param {() => void} wake has the page drawn
   * @param {(text: string) => void} onError
   */
  constructor(feed, wake, onError) {
    if (!intervals.has(this.interval)) this.interval = '0';
    this.feed = feed;
    this.wake = wake;
    this.onError = onError;
    this.place = /** @type {HTMLElement} */ (document.getElementById('chart'));
    this.key = /** @type {HTMLElement} */ (document.querySelector('#key .bid')); // of the line of bids
    this.ticket = new Ticket(/** @type {HTMLElement} */ (document.getElementById('ticket')));
    this.chart = new PriceChart(this.place, /** @type {HTMLElement} */ (document.getElementById('legend')));
    document.addEventListener('visibilitychange', () => this.complete());
  }

  /** @param {Instrument} chosen */
  choose(chosen) {
    this.chosen = chosen;
    this.draw();
    this.place.setAttribute('aria-label', `Chart of ${chosen.symbol}`);
    this.#show();
  }

  /** @param {string} interval */
  setInterval(interval) {
    this.interval = interval;
    save('interval', interval);
    this.#show();
  }

  #show() {
    if (!this.chosen) return;
    this.#series?.kept?.stop();
    this.#looking.abort();
    this.#series = new Series(this.chosen, this.interval, () => this.chart.draw());
    this.chart.show(this.#series);
    this.key.hidden = this.#series.seconds > 0;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.complete(), looked);
  }

  /** Loads what the chart lacks, once the page is connected and seen. */
  complete() {
    const series = this.#series;
    if (!series || this.feed.state.name !== 'live' || document.hidden) return;
    if (series.kept) {
      const { kept } = series;
      kept.newest();
      this.feed.follow(series.instrument.symbol, series.interval, (candle) => kept.take(candle));
    } else {
      this.feed.follow();
      this.#seed(series.instrument);
    }
  }

  /**
   * Fetches earlier ticks from the server, once per symbol, and puts them before those received here.
   *
   * @param {Instrument} chosen
   */
  async #seed(chosen) {
    if (this.#seeded.has(chosen.symbol)) return;
    this.#looking = new AbortController();
    this.#seeded.add(chosen.symbol);
    try {
      const list = await get(`api/v1/quotes/${chosen.symbol}/history?limit=500`, this.#looking.signal);
      if (!Array.isArray(list)) return;
      const older = list.filter((q) => chosen.firstSeq === 0 || (q.seq < chosen.firstSeq && (q.epoch === undefined || q.epoch === chosen.epoch)));
      chosen.history = chosen.history.after(older.sort((a, b) => a.seq - b.seq));
      this.wake();
      this.chart.draw();
    } catch (e) {
      const { status, message } = /** @type {{ status?: number, message: string }} */ (e);
      if (status && status < 500) this.onError(message);
      else this.#seeded.delete(chosen.symbol); // the next choice of the symbol tries again
    }
  }

  draw() {
    const { chosen } = this;
    if (!chosen) return;
    this.ticket.draw(chosen);
    this.drawAge();
    clearTimeout(this.#charting);
    const wait = this.#charted + chartEvery - performance.now();
    if (wait > 0) this.#charting = setTimeout(() => this.#drawChart(), wait + chartLate);
    else this.#drawChart();
  }

  #drawChart() {
    if (document.hidden) return;
    this.#charted = performance.now();
    this.chart.draw();
  }

  drawAge() {
    if (this.chosen) this.ticket.drawAge(this.chosen, this.feed.serverNow());
  }
}
