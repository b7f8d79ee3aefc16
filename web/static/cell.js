// One price in the table: arrow, big figure, pip digits, fraction. A screen reader gets the whole
// price and its direction in words.

import { lengthOf, split } from './price.js';

const litFor = 200; // ms; the next frame after that puts the light out, so that it costs no frame of its own
const words = new Map([[1, ', up'], [-1, ', down']]);

export class PriceCell {
  #text = '';
  #move = 0;
  #whole = false; // no digit after those of the pip
  #long = '';
  #lit = false;
  #litAt = 0;

  /** @param {HTMLTableCellElement} cell */
  constructor(cell) {
    this.cell = cell;
    cell.setAttribute('role', 'gridcell');
    cell.className = 'c-price';
    this.box = cell.appendChild(document.createElement('div'));
    this.box.className = 'price';
    this.parts = ['figure', 'pips', 'fraction'].map((name) => {
      const span = this.box.appendChild(document.createElement('span'));
      span.className = name;
      return span.appendChild(document.createTextNode(''));
    });
  }

  /**
   * @param {string} text
   * @param {number} move
   * @param {number} pipDecimals
   * @param {boolean} light
   * @returns {boolean} true if the cell is lit, so that putOut must be called later
   */
  set(text, move, pipDecimals, light) {
    if (text === this.#text && move === this.#move) return false;
    if (text !== this.#text) {
      const parts = text === '' ? ['–', '', ''] : split(text, pipDecimals);
      for (let i = 0; i < 3; i++) if (this.parts[i].data !== parts[i]) this.parts[i].data = parts[i];
    }
    light &&= this.#text !== '' && move !== 0;
    const whole = this.parts[2].data === '';
    const long = lengthOf(text);
    const changed = move !== this.#move || whole !== this.#whole || long !== this.#long;
    this.#text = text;
    this.#move = move;
    this.#whole = whole;
    this.#long = long;
    this.cell.setAttribute('aria-label', text === '' ? 'no price' : text + (words.get(move) ?? ''));
    if (changed || light !== this.#lit) this.#show(light);
    if (light) this.#litAt = performance.now();
    return light;
  }

  /**
   * Puts the light out if it has shone for long enough.
   *
   * @param {number} now by performance.now()
   * @returns {boolean} whether the light is out
   */
  putOut(now) {
    if (this.#lit && now - this.#litAt >= litFor) this.#show(false);
    return !this.#lit;
  }

  /** @param {boolean} lit */
  #show(lit) {
    this.#lit = lit;
    const direction = this.#move > 0 ? ' up' : this.#move < 0 ? ' down' : '';
    this.box.className = `price${direction}${this.#whole ? ' whole' : ''}${this.#long}${lit ? ' lit' : ''}`;
  }
}
