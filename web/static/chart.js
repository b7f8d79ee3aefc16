// The chart of one symbol: ticks as two stepped lines, or candles of the bid with the ask as a line.

import { CandlestickSeries, ColorType, CrosshairMode, LineSeries, LineStyle, LineType, createChart } from './third_party/lightweight-charts-5.2.1.mjs';
import { Bands, isGap, withGaps } from './gaps.js';

/** @typedef {import('./series.js').Series} Series */

const fewChanges = 60; // up to this many new points are added one by one
const ahead = 60; // candles are loaded when fewer than these are left of the view

export class PriceChart {
  #chart;
  #bands;
  /** @type {any[]} */
  #lines = [];
  /** @type {Series|undefined} */
  #shown;
  /** @type {unknown} */
  #version;
  #drawn = 0;
  #digits = -1;
  #spacing = 0;
  #moved = false; // the visitor has moved the chart, so it does not follow new points

  /**
   * @param {HTMLElement} container
   * @param {HTMLElement} legend
   */
  constructor(container, legend) {
    this.legend = legend;
    this.#chart = createChart(container, {
      autoSize: true,
      timeScale: { timeVisible: true, secondsVisible: true, rightOffset: 4, minBarSpacing: 0.2, allowBoldLabels: false },
      crosshair: { mode: CrosshairMode.Normal },
      localization: { timeFormatter: (/** @type {number} */ t) => this.#clock(t) },
    });
    this.#bands = new Bands(this.#chart);
    for (const gesture of ['wheel', 'pointerdown']) {
      container.addEventListener(gesture, () => (this.#moved = true), { passive: true });
    }
    this.#chart.subscribeCrosshairMove((move) => this.#describe(move));
    this.#chart.timeScale().subscribeVisibleLogicalRangeChange((range) => {
      if (range && range.from < ahead && this.#moved) this.#shown?.kept?.older();
    });
    this.retheme();
  }

  /** Reads the colors of the style sheet again. */
  retheme() {
    const probe = document.body.appendChild(document.createElement('i')); // the value of a variable still has both themes
    const color = (/** @type {string} */ name) => {
      probe.style.color = `var(${name})`;
      return getComputedStyle(probe).color;
    };
    const { fontFamily } = getComputedStyle(document.body);
    this.colors = { up: color('--up'), down: color('--down'), bid: color('--bid'), ask: color('--ask') };
    this.#bands.colors = { ground: color('--panel'), line: color('--line'), text: color('--dim'), font: fontFamily };
    this.#chart.applyOptions({
      layout: { background: { type: ColorType.Solid, color: color('--panel') }, textColor: color('--dim'), fontFamily, fontSize: 11 },
      grid: { vertLines: { color: color('--grid') }, horzLines: { color: color('--grid') } },
      rightPriceScale: { borderColor: color('--line') },
      timeScale: { borderColor: color('--line') },
      crosshair: {
        vertLine: { color: color('--dim'), labelBackgroundColor: color('--chip') },
        horzLine: { color: color('--dim'), labelBackgroundColor: color('--chip') },
      },
    });
    probe.remove();
    this.#rebuild();
  }

  /** @param {Series|undefined} series */
  show(series) {
    this.#shown = series;
    this.#moved = false;
    this.#rebuild();
  }

  /** Draws the points that were added since the last call. */
  draw() {
    const s = this.#shown;
    if (!s) return;
    if (s.instrument.digits !== this.#digits) return this.#rebuild();
    const isNew = s.added - this.#drawn;
    if (s.version !== this.#version || isNew > fewChanges || isNew > s.length) return this.#setData(s);
    // The last candle may have changed since it was drawn.
    const from = Math.max(0, s.length - isNew - (s.seconds > 0 ? 1 : 0));
    for (let n = from; n < s.length; n++) {
      const point = s.point(n);
      if (n > 0 && isGap(s.point(n - 1).time, point.time, s.longest)) return this.#setData(s);
      for (const [k, line] of this.#lines.entries()) line.update(this.#datum(point, k));
    }
    this.#drawn = s.added;
    this.#spread(s.length);
  }

  /**
   * Widens the points of a short history, so that they do not fill only a corner of the pane.
   *
   * @param {number} points
   */
  #spread(points) {
    if (this.#moved) return;
    const [least, most] = this.#shown && this.#shown.seconds > 0 ? [6, 14] : [5, 20];
    const room = this.#chart.timeScale().width() / (points + 8);
    const spacing = Math.max(least, Math.min(most, Math.floor(room)));
    if (spacing === this.#spacing) return;
    this.#spacing = spacing;
    this.#chart.applyOptions({ timeScale: { barSpacing: spacing } });
  }

  /**
   * @param {any} point of the series, or an empty place
   * @param {number} k which line: bid, ask
   */
  #datum(point, k) {
    if (point.bid === undefined) return point;
    return k === 0 && this.#shown && this.#shown.seconds > 0 ? point : { time: point.time, value: k === 0 ? point.bid : point.ask };
  }

  #rebuild() {
    for (const line of this.#lines) this.#chart.removeSeries(line);
    this.#lines = [];
    this.legend.textContent = '';
    const s = this.#shown;
    if (!s || !this.colors) return;
    this.#digits = s.instrument.digits;
    const digits = this.#digits || 5;
    const priceFormat = { type: /** @type {const} */ ('price'), precision: digits, minMove: Number(`1e-${digits}`) };
    const { up, down, bid, ask } = this.colors;
    const line = { priceFormat, lineWidth: /** @type {const} */ (1), lineType: s.seconds > 0 ? LineType.Simple : LineType.WithSteps, priceLineStyle: LineStyle.Dotted, crosshairMarkerRadius: 3 };
    const first = s.seconds > 0
      ? this.#chart.addSeries(CandlestickSeries, { priceFormat, upColor: up, downColor: down, borderVisible: false, wickUpColor: up, wickDownColor: down })
      : this.#chart.addSeries(LineSeries, { ...line, color: bid });
    this.#lines = [first, this.#chart.addSeries(LineSeries, { ...line, color: ask })];
    this.#lines[1].attachPrimitive(this.#bands);
    this.#chart.applyOptions({ timeScale: { secondsVisible: s.seconds < 60, timeVisible: s.seconds < 86_400 } });
    this.#spacing = 0;
    this.#setData(s);
    if (!this.#moved) this.#chart.timeScale().scrollToRealTime();
  }

  /** @param {Series} s */
  #setData(s) {
    const { points, gaps } = withGaps(Array.from({ length: s.length }, (_, n) => s.point(n)), s.longest, s.seconds < 60 ? 14 : 1);
    for (const [k, line] of this.#lines.entries()) line.setData(points.map((p) => this.#datum(p, k)));
    this.#bands.show(gaps);
    this.#version = s.version;
    this.#drawn = s.added;
    this.#spread(points.length);
  }

  /** @param {any} move the crosshair's */
  #describe(move) {
    const values = move.time === undefined ? [] : this.#lines.map((s) => move.seriesData.get(s));
    const price = (/** @type {number} */ v) => v.toFixed(Math.max(0, this.#digits));
    const [bid, ask] = values;
    if (ask?.value === undefined) this.legend.textContent = this.note;
    else if (bid?.open !== undefined) this.legend.textContent = `O ${price(bid.open)}  H ${price(bid.high)}  L ${price(bid.low)}  C ${price(bid.close)}  Ask ${price(ask.value)}`;
    else if (bid?.value !== undefined) this.legend.textContent = `Bid ${price(bid.value)}  Ask ${price(ask.value)}`;
  }

  /** What the legend says when the pointer is elsewhere. */
  get note() {
    return this.#shown?.kept?.absent ? 'This server keeps no candles.' : '';
  }

  /** @param {number} t seconds since 1970 */
  #clock(t) {
    const text = new Date(t * 1000).toISOString();
    const seconds = this.#shown?.seconds ?? 0;
    return seconds >= 86_400 ? text.slice(0, 10) : seconds >= 60 ? `${text.slice(0, 16).replace('T', ' ')} UTC` : `${text.slice(11, 19)} UTC`;
  }
}
