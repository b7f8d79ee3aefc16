// The chart of one symbol: ticks as two stepped lines, or candles of the mid price.

import { CandlestickSeries, ColorType, CrosshairMode, LineSeries, LineStyle, LineType, createChart } from './third_party/lightweight-charts-5.2.1.mjs';

/** @typedef {import('./board.js').Instrument} Instrument */
/** @typedef {import('./history.js').History} History */

const fewChanges = 60; // up to this many new points are added one by one

export class PriceChart {
  #chart;
  /** @type {any[]} */
  #series = [];
  /** @type {Instrument|undefined} */
  #instrument;
  /** @type {History|undefined} */
  #drawnHistory;
  #drawn = 0;
  #digits = -1;
  #seconds = 0;
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
      localization: { timeFormatter: (/** @type {number} */ t) => `${clock(t)} UTC` },
    });
    for (const gesture of ['wheel', 'pointerdown']) {
      container.addEventListener(gesture, () => (this.#moved = true), { passive: true });
    }
    this.#chart.subscribeCrosshairMove((move) => this.#describe(move));
    this.retheme();
  }

  /** Reads the colors of the style sheet again. */
  retheme() {
    const style = getComputedStyle(document.documentElement);
    const color = (/** @type {string} */ name) => style.getPropertyValue(name).trim();
    this.colors = { up: color('--up'), down: color('--down'), bid: color('--bid'), ask: color('--ask') };
    this.#chart.applyOptions({
      layout: {
        background: { type: ColorType.Solid, color: color('--panel') },
        textColor: color('--dim'),
        fontFamily: getComputedStyle(document.body).fontFamily,
        fontSize: 11,
      },
      grid: { vertLines: { color: color('--grid') }, horzLines: { color: color('--grid') } },
      rightPriceScale: { borderColor: color('--line') },
      timeScale: { borderColor: color('--line') },
      crosshair: {
        vertLine: { color: color('--dim'), labelBackgroundColor: color('--chip') },
        horzLine: { color: color('--dim'), labelBackgroundColor: color('--chip') },
      },
    });
    this.#rebuild();
  }

  /**
   * @param {Instrument|undefined} instrument
   * @param {number} seconds length of a candle; 0 draws ticks
   */
  show(instrument, seconds) {
    this.#instrument = instrument;
    this.#seconds = seconds;
    this.#moved = false;
    this.#rebuild();
  }

  /** Draws the points that were added since the last call. */
  draw() {
    const i = this.#instrument;
    if (!i) return;
    const ring = this.#ring(i);
    if (i.history !== this.#drawnHistory || i.digits !== this.#digits) {
      this.#rebuild();
      return;
    }
    const isNew = ring.pushed - this.#drawn;
    if (isNew > fewChanges || isNew > ring.length) {
      this.#setData(i);
      return;
    }
    // The last candle may have changed since it was drawn.
    const from = this.#seconds > 0 ? Math.max(0, ring.length - isNew - 1) : ring.length - isNew;
    for (let n = from; n < ring.length; n++) {
      for (const [k, series] of this.#series.entries()) series.update(this.#point(ring, n, k));
    }
    this.#drawn = ring.pushed;
    this.#spread(ring.length);
  }

  /**
   * Widens the points of a short history, so that they do not fill only a corner of the pane.
   *
   * @param {number} points
   */
  #spread(points) {
    if (this.#moved) return;
    const [least, most] = this.#seconds > 0 ? [8, 14] : [5, 20];
    const room = this.#chart.timeScale().width() / (points + 8);
    const spacing = Math.max(least, Math.min(most, Math.floor(room)));
    if (spacing === this.#spacing) return;
    this.#spacing = spacing;
    this.#chart.applyOptions({ timeScale: { barSpacing: spacing } });
  }

  /** @param {Instrument} i */
  #ring(i) {
    return this.#seconds > 0 ? /** @type {import('./ring.js').Ring} */ (i.history.candles.get(this.#seconds)) : i.history.ticks;
  }

  /**
   * @param {import('./ring.js').Ring} ring
   * @param {number} n
   * @param {number} k which series
   */
  #point(ring, n, k) {
    if (this.#seconds === 0) return { time: ring.at(n, 0), value: ring.at(n, k + 1) };
    return { time: ring.at(n, 0), open: ring.at(n, 1), high: ring.at(n, 2), low: ring.at(n, 3), close: ring.at(n, 4) };
  }

  #rebuild() {
    for (const series of this.#series) this.#chart.removeSeries(series);
    this.#series = [];
    this.legend.textContent = '';
    const i = this.#instrument;
    if (!i || !this.colors) return;
    this.#digits = i.digits;
    const digits = i.digits || 5;
    const priceFormat = { type: /** @type {const} */ ('price'), precision: digits, minMove: Number(`1e-${digits}`) };
    const { up, down, bid, ask } = this.colors;
    if (this.#seconds > 0) {
      this.#series = [this.#chart.addSeries(CandlestickSeries, {
        priceFormat, upColor: up, downColor: down, borderVisible: false, wickUpColor: up, wickDownColor: down,
      })];
    } else {
      const line = { priceFormat, lineType: LineType.WithSteps, lineWidth: /** @type {const} */ (1), priceLineStyle: LineStyle.Dotted, crosshairMarkerRadius: 3 };
      this.#series = [
        this.#chart.addSeries(LineSeries, { ...line, color: bid }),
        this.#chart.addSeries(LineSeries, { ...line, color: ask }),
      ];
    }
    this.#chart.applyOptions({ timeScale: { secondsVisible: this.#seconds < 60 } });
    this.#spacing = 0;
    this.#setData(i);
    if (!this.#moved) this.#chart.timeScale().scrollToRealTime();
  }

  /** @param {Instrument} i */
  #setData(i) {
    const ring = this.#ring(i);
    for (const [k, series] of this.#series.entries()) {
      series.setData(Array.from({ length: ring.length }, (_, n) => this.#point(ring, n, k)));
    }
    this.#drawnHistory = i.history;
    this.#drawn = ring.pushed;
    this.#spread(ring.length);
  }

  /** @param {any} move the crosshair's */
  #describe(move) {
    const values = move.time === undefined ? [] : this.#series.map((s) => move.seriesData.get(s));
    const price = (/** @type {number} */ v) => v.toFixed(Math.max(0, this.#digits));
    if (values.length === 0 || values.some((v) => v === undefined)) this.legend.textContent = '';
    else if (this.#seconds > 0) {
      const { open, high, low, close } = values[0];
      this.legend.textContent = `O ${price(open)}  H ${price(high)}  L ${price(low)}  C ${price(close)}`;
    } else this.legend.textContent = `Bid ${price(values[0].value)}  Ask ${price(values[1].value)}`;
  }
}

/** @param {number} t seconds since 1970 */
function clock(t) {
  return new Date(t * 1000).toISOString().slice(11, 19);
}
