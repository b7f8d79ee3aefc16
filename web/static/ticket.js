// The chosen symbol, large.

import { ageOf } from './age.js';
import { changeInPercent, lengthOf, spreadInPips, split } from './price.js';

/** @typedef {import('./board.js').Instrument} Instrument */

const names = 'DisplayNames' in Intl ? new Intl.DisplayNames(['en'], { type: 'currency', fallback: 'code' }) : undefined;
const count = new Intl.NumberFormat('en');

export class Ticket {
  /** @type {Map<string, HTMLElement>} */
  #parts = new Map();
  #opened = new Date().toISOString().slice(11, 16);

  /** @param {HTMLElement} root */
  constructor(root) {
    this.root = root;
    for (const name of ['symbol', 'name', 'bid', 'ask', 'spread', 'bid-size', 'ask-size', 'change', 'day-low', 'day-high', 'low', 'high', 'ticks', 'since', 'age']) {
      this.#parts.set(name, /** @type {HTMLElement} */ (root.querySelector(`#t-${name}`)));
    }
    for (const side of ['bid', 'ask']) {
      for (const part of ['figure', 'pips', 'fraction']) {
        const span = document.createElement('span');
        span.className = part;
        this.#parts.get(side)?.append(span);
      }
    }
  }

  /** @param {Instrument} i */
  draw(i) {
    const [base, quote] = i.symbol.split('/');
    this.#text('symbol', i.symbol);
    this.#text('name', names && quote ? `${nameOf(base)} / ${nameOf(quote)}` : '');
    this.#price('bid', i.bid, i.bidMove, i.pipDecimals);
    this.#price('ask', i.ask, i.askMove, i.pipDecimals);
    const spread = i.hasPrice ? spreadInPips(i.bid, i.ask, i.pip) : '–';
    this.#text('spread', spread);
    this.#class('spread', lengthOf(spread).trim());
    this.#size('bid-size', i.bidSize);
    this.#size('ask-size', i.askSize);
    const from = i.day?.previous_close ?? i.day?.open;
    this.#size('change', from && i.hasPrice ? changeInPercent(from, i.bid) : '');
    this.#size('day-low', i.day?.low ?? '');
    this.#size('day-high', i.day?.high ?? '');
    this.#text('low', i.low || '–');
    this.#text('high', i.high || '–');
    this.#text('ticks', count.format(i.ticks));
    this.#text('since', `${this.#opened} UTC`);
    if (this.root.dataset.status !== i.status) this.root.dataset.status = i.status;
  }

  /**
   * Shows the age of a price that is not live.
   *
   * @param {Instrument} i
   * @param {number} now the server's clock
   */
  drawAge(i, now) {
    const [word, age, ago] = ageOf(i, now);
    this.#text('age', word === '' ? '' : `${word} · ${age}${ago}`);
  }

  /**
   * @param {string} name
   * @param {string} text
   */
  #text(name, text) {
    const e = this.#parts.get(name);
    if (e && e.textContent !== text) e.textContent = text;
  }

  /**
   * @param {string} name
   * @param {string} classes
   */
  #class(name, classes) {
    const e = this.#parts.get(name);
    if (e && e.className !== classes) e.className = classes;
  }

  /**
   * Shows a figure, or hides its field if there is none.
   *
   * @param {string} name
   * @param {string} text
   */
  #size(name, text) {
    this.#text(name, text);
    const place = this.#parts.get(name)?.parentElement;
    if (place && place.hidden !== (text === '')) place.hidden = text === '';
  }

  /**
   * @param {string} side
   * @param {string} text
   * @param {number} move
   * @param {number} pipDecimals
   */
  #price(side, text, move, pipDecimals) {
    const e = this.#parts.get(side);
    if (!e) return;
    const parts = text === '' ? ['–', '', ''] : split(text, pipDecimals);
    for (const [n, span] of [...e.children].entries()) {
      if (span.textContent !== parts[n]) span.textContent = parts[n];
    }
    this.#class(side, `${move > 0 ? 'up' : move < 0 ? 'down' : ''}${lengthOf(text)}`);
  }
}

/** @param {string} code */
function nameOf(code) {
  try {
    return names?.of(code) ?? code;
  } catch {
    return code; // it does not have the form of a currency code
  }
}
