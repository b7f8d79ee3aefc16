// The visitor's named lists of symbols, in an order of their own. The browser keeps them; the address of
// the page has the one that is shown, so that a bookmark or a colleague opens the same:
// #list=Mine&symbols=EUR/USD,USD/JPY&symbol=EUR/USD

import { load, save } from './settings.js';

const longest = 40; // characters of a name
const most = 500; // symbols of a list
const unnamed = 'My list'; // the name of a list in an address without one

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

/**
 * Cuts a name to its longest form, and leaves room for an ending.
 *
 * @param {string} name
 * @param {string} [ending]
 */
function cut(name, ending = '') {
  return [...name.toWellFormed().trim()].slice(0, longest - ending.length).join('').trim() + ending;
}

export class Lists {
  /** @type {Map<string, string[]>} */
  #named = new Map();
  /** The name of the list that is shown; '' = all symbols. */
  current = '';
  /** The symbol that the address names, or ''. */
  symbol = '';

  constructor() {
    this.#read();
    this.open();
  }

  /** Takes the lists that another tab has changed. */
  reload() {
    this.#read();
    if (!this.#named.has(this.current)) this.current = '';
    this.#address();
  }

  #read() {
    this.#named.clear();
    for (const [name, list] of Object.entries(load('lists', /** @type {Named} */ ({})))) this.#put(name, symbolsOf(list));
  }

  /** Keeps and shows what the address names. */
  open() {
    const address = new URLSearchParams(location.hash.slice(1));
    const upper = (/** @type {string} */ name) => address.get(name)?.toUpperCase().split(',');
    const symbols = symbolsOf(upper('symbols'));
    const name = cut(address.get('list') ?? '');
    this.symbol = symbolsOf(upper('symbol'))[0] ?? '';
    this.current = symbols.length > 0 ? this.#put(name || unnamed, symbols) : this.#named.has(name) ? name : '';
    if (symbols.length > 0) this.#note();
  }

  /**
   * Keeps a list. Another list of that name stays: the new one is numbered.
   *
   * @param {string} name
   * @param {string[]} symbols
   * @returns {string} its name; '' for a list without symbols, or without a name
   */
  #put(name, symbols) {
    if (!cut(name) || symbols.length === 0) return '';
    for (let n = 1; ; n++) {
      const own = cut(name, n > 1 ? ` (${n})` : '');
      const before = this.#named.get(own);
      if (before && before.join() !== symbols.join()) continue;
      this.#named.set(own, symbols);
      return own;
    }
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
    this.#address();
  }

  /**
   * Adds a symbol to a list, which may be new.
   *
   * @param {string} name
   * @param {string} symbol
   */
  add(name, symbol) {
    name = cut(name);
    const list = this.#named.get(name) ?? [];
    if (!list.includes(symbol) && list.length < most) list.push(symbol);
    this.#named.set(name, list);
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
    this.#address();
  }

  #note() {
    save('lists', Object.fromEntries(this.#named));
    this.#address();
  }

  /** Puts the list that is shown into the address. */
  #address() {
    const parts = [];
    if (this.current) parts.push(`list=${encodeURIComponent(this.current)}`, `symbols=${(this.symbols ?? []).join()}`);
    if (this.symbol) parts.push(`symbol=${this.symbol}`);
    history.replaceState(null, '', parts.length > 0 ? `#${parts.join('&')}` : location.pathname + location.search);
  }
}
