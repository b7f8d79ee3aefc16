// One row of the table of prices. It writes only the cells whose text has changed.

import { ageOf } from './age.js';
import { PriceCell } from './cell.js';
import { changeInPercent, spreadInPips } from './price.js';

/** @typedef {import('./board.js').Instrument} Instrument */

const longName = 8; // characters of a symbol that gets two smaller lines
const longText = 6; // characters of a figure that gets smaller digits

/** A cell of plain text, in a box of fixed size. */
class TextCell {
  #text = '';
  #long = false;

  /**
   * @param {HTMLTableRowElement} tr
   * @param {string} name
   */
  constructor(tr, name) {
    const cell = tr.insertCell();
    cell.setAttribute('role', 'gridcell');
    cell.className = `c-${name}`;
    this.box = cell.appendChild(document.createElement('div'));
    this.box.className = name;
    this.data = this.box.appendChild(document.createTextNode(''));
  }

  /** @param {string} text */
  set(text) {
    if (text === this.#text) return;
    this.data.data = this.#text = text;
    const long = text.length > longText;
    if (long !== this.#long) this.box.classList.toggle('long', this.#long = long);
  }
}

export class Row {
  #word = '';
  #age = '';
  #ago = '';
  #state = '';

  /**
   * @param {Instrument} instrument
   * @param {boolean} pinned
   */
  constructor(instrument, pinned) {
    this.instrument = instrument;
    this.inView = true;
    this.behind = false; // changed while out of view, and not drawn since
    const tr = document.createElement('tr');
    this.tr = tr;
    tr.dataset.symbol = instrument.symbol;
    tr.tabIndex = -1;
    tr.setAttribute('role', 'row');
    tr.setAttribute('aria-selected', 'false');
    this.pin = document.createElement('button');
    this.pin.type = 'button';
    this.pin.className = 'pin';
    this.pin.tabIndex = -1;
    const first = tr.insertCell();
    first.setAttribute('role', 'gridcell');
    first.className = 'c-pin';
    first.append(this.pin);
    const name = tr.appendChild(document.createElement('th'));
    name.scope = 'row';
    name.setAttribute('role', 'rowheader');
    name.className = instrument.symbol.length > longName ? 'c-symbol long' : 'c-symbol';
    name.title = instrument.symbol;
    const [base, quote] = instrument.symbol.split('/');
    const slash = document.createElement('i');
    slash.textContent = '/';
    name.append(base, slash, quote ?? '');
    this.bid = new PriceCell(tr.insertCell());
    this.ask = new PriceCell(tr.insertCell());
    this.spread = new TextCell(tr, 'spread');
    this.change = new TextCell(tr, 'change');
    this.low = new TextCell(tr, 'low');
    this.high = new TextCell(tr, 'high');
    const age = tr.insertCell();
    age.setAttribute('role', 'gridcell');
    age.className = 'c-age age';
    this.word = age.appendChild(document.createElement('span'));
    this.age = age.appendChild(document.createTextNode(''));
    this.ago = age.appendChild(document.createElement('span'));
    this.setPinned(pinned);
  }

  /** @param {boolean} pinned */
  setPinned(pinned) {
    this.pinned = pinned;
    this.pin.setAttribute('aria-pressed', String(pinned));
    this.pin.setAttribute('aria-label', `${pinned ? 'Unpin' : 'Pin'} ${this.instrument.symbol}`);
    this.pin.textContent = pinned ? '★' : '☆';
  }

  /** @param {Set<PriceCell>} lit receives the cells whose light must go off later */
  draw(lit) {
    this.behind = false;
    const i = this.instrument;
    if (this.bid.set(i.bid, i.bidMove, i.pipDecimals, this.inView)) lit.add(this.bid);
    if (this.ask.set(i.ask, i.askMove, i.pipDecimals, this.inView)) lit.add(this.ask);
    this.spread.set(i.hasPrice ? spreadInPips(i.bid, i.ask, i.pip) : '');
    const from = i.day?.previous_close ?? i.day?.open;
    this.change.set(from && i.hasPrice ? changeInPercent(from, i.bid) : '');
    this.low.set(i.day?.low ?? '');
    this.high.set(i.day?.high ?? '');
    if (i.status !== this.#state) this.tr.dataset.status = this.#state = i.status;
  }

  /** @param {number} now the server's clock */
  drawAge(now) {
    const [word, age, ago] = ageOf(this.instrument, now);
    const before = word === '' ? '' : `${word} · `;
    if (before !== this.#word) this.word.textContent = this.#word = before;
    if (age !== this.#age) this.age.data = this.#age = age;
    if (ago !== this.#ago) this.ago.textContent = this.#ago = ago;
  }
}
