// The visitor's named lists of symbols, in an order of their own. The browser keeps them; the address of
// the page has the one that is shown, so that a bookmark or a colleague opens the same:
// #list=Mine&symbols=EUR/USD,USD/JPY&symbol=EUR/USD

import { load, save } from './settings.js';

const longest = 40; // characters of a name
const most = 500; // symbols of a list

/** @typedef {Record<string, string[]>} Named */

/**
 * Returns what is a list of symbols in something that anyone may have written.
 *
 * @param {unknown} list
 */
function symbolsOf(list) {
  if (!Array.isArray(list)) return [];
  return [...new Set(list.filter((s) => typeof s === 'string' && /^[A-Z0-9]{2,10}\/[A-Z0-9]{2,10}$/.test(s)))].slice(0, most);
}

export class Lists {
  /** @type {Map<string, string[]>} */
  #named = new Map();
  /** The name of the list that is shown; '' = all symbols. */
  current = '';

  constructor() {
    const stored = load('lists', /** @type {Named} */ ({}));
    for (const [name, list] of Object.entries(stored)) this.#named.set(name.slice(0, longest), symbolsOf(list));
    const address = new URLSearchParams(location.hash.slice(1));
    const name = (address.get('list') ?? '').slice(0, longest);
    const symbols = symbolsOf(address.get('symbols')?.split(','));
    if (name && symbols.length > 0) this.#named.set(name, symbols);
    if (this.#named.has(name)) this.current = name;
    /** The symbol that the address names, or ''. */
    this.symbol = symbolsOf([address.get('symbol')])[0] ?? '';
  }

  get names() {
    return [...this.#named.keys()].sort();
  }

  /** The symbols of the list that is shown; undefined = all. */
  get symbols() {
    return this.#named.get(this.current);
  }

  /** @param {string} name */
  show(name) {
    this.current = this.#named.has(name) ? name : '';
    this.#note();
  }

  /**
   * Adds a symbol to a list, which may be new.
   *
   * @param {string} name
   * @param {string} symbol
   */
  add(name, symbol) {
    const list = this.#named.get(name) ?? [];
    if (!list.includes(symbol) && list.length < most) list.push(symbol);
    this.#named.set(name.slice(0, longest), list);
    this.#note();
  }

  /**
   * Removes a symbol from the list that is shown, and the list with its last symbol.
   *
   * @param {string} symbol
   */
  remove(symbol) {
    const list = this.symbols?.filter((s) => s !== symbol);
    if (!list) return;
    if (list.length > 0) this.#named.set(this.current, list);
    else {
      this.#named.delete(this.current);
      this.current = '';
    }
    this.#note();
  }

  /**
   * Moves a symbol of the list that is shown up or down.
   *
   * @param {string} symbol
   * @param {-1|1} by
   */
  move(symbol, by) {
    const list = this.symbols;
    const at = list?.indexOf(symbol) ?? -1;
    const to = at + by;
    if (!list || at < 0 || to < 0 || to >= list.length) return;
    [list[at], list[to]] = [list[to], list[at]];
    this.#note();
  }

  /** @param {string} symbol the chosen one */
  choose(symbol) {
    this.symbol = symbol;
    this.#note();
  }

  /** Stores the lists, and puts the one that is shown into the address. */
  #note() {
    save('lists', Object.fromEntries(this.#named));
    const parts = [];
    if (this.current) parts.push(`list=${encodeURIComponent(this.current)}`, `symbols=${(this.symbols ?? []).join()}`);
    if (this.symbol) parts.push(`symbol=${this.symbol}`);
    history.replaceState(null, '', parts.length > 0 ? `#${parts.join('&')}` : location.pathname + location.search);
  }
}
