// The server's list of symbols, with their digits and pips. It is kept in this browser for an hour, so
// that most loads need no request for it.

import { get } from './api.js';
import { load, save } from './settings.js';

const keptFor = 3_600_000;
const againAfter = 60_000;

export class Catalog {
  #asked = -Infinity; // by performance.now()
  #known = new Set();

  /** @param {(list: unknown[]) => void} describe called with the list, which anyone may have written */
  constructor(describe) {
    this.describe = describe;
    const { at, list } = load('symbols', { at: 0, list: /** @type {any[]} */ ([]) });
    this.fresh = Math.abs(Date.now() - at) < keptFor && Array.isArray(list);
    if (this.fresh) this.#take(list);
  }

  /**
   * Asks for the list if it is old, or if it lacks one of these symbols.
   *
   * @param {Iterable<string>} symbols
   */
  async refresh(symbols) {
    const now = performance.now();
    if (now - this.#asked < againAfter || this.fresh && [...symbols].every((s) => this.#known.has(s))) return;
    this.#asked = now;
    try {
      const list = await get('api/v1/symbols');
      if (!Array.isArray(list)) return;
      save('symbols', { at: Date.now(), list: list.map(({ symbol, digits, pip }) => ({ symbol, digits, pip })) });
      this.fresh = true;
      this.#take(list);
    } catch {
      // Without the list, digits and pips come from the prices.
    }
  }

  /** @param {any[]} list */
  #take(list) {
    this.#known = new Set(list.map((item) => item?.symbol));
    this.describe(list);
  }
}
