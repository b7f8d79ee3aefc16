// The table of prices. Each row is created once. A frame writes only the cells whose text has
// changed. Columns have fixed widths, so no change of text moves another cell.

import { Row } from './row.js';
import { load, save } from './settings.js';

const majors = ['EUR/USD', 'USD/JPY', 'GBP/USD', 'USD/CHF', 'AUD/USD', 'USD/CAD', 'NZD/USD'];
const metals = new Set(['XAU', 'XAG', 'XPT', 'XPD']);
const behindFor = 10; // seconds
const sortEvery = 5; // seconds; not while the pointer or the focus is on a row
const putOutAfter = 400; // ms without a frame that would put the lights out

/**
 * @typedef {import('./board.js').Instrument} Instrument
 * @typedef {import('./cell.js').PriceCell} PriceCell
 */

/**
 * The group of the table that a row belongs to.
 *
 * @param {Row} row
 */
function groupOf({ pinned, instrument: { symbol } }) {
  if (pinned) return 'pinned';
  if (majors.includes(symbol)) return 'majors';
  return symbol.split('/').some((code) => metals.has(code)) ? 'metals' : 'crosses';
}

/** How two instruments compare by a column. */
const keys = {
  symbol: (/** @type {Instrument} */ a, /** @type {Instrument} */ b) => (a.symbol < b.symbol ? -1 : 1),
  spread: (/** @type {Instrument} */ a, /** @type {Instrument} */ b) => spread(a) - spread(b),
  change: (/** @type {Instrument} */ a, /** @type {Instrument} */ b) => change(a) - change(b),
  age: (/** @type {Instrument} */ a, /** @type {Instrument} */ b) => b.time - a.time,
};

/** For the order only. @param {Instrument} i */
const spread = (i) => (i.hasPrice ? (Number(i.ask) - Number(i.bid)) / Number(i.pip) : Infinity);

/** For the order only. @param {Instrument} i */
const change = (i) => (i.day && i.hasPrice ? Number(i.bid) / Number(i.day.previous_close ?? i.day.open) : -Infinity);

/**
 * @param {Row} a
 * @param {Row} b
 */
function inOrder(a, b) {
  const x = a.instrument.symbol;
  const y = b.instrument.symbol;
  const rank = (/** @type {string} */ s) => (majors.indexOf(s) + majors.length + 1) % (majors.length + 1);
  return rank(x) - rank(y) || (x < y ? -1 : 1);
}

export class Grid {
  /** @type {Map<string, Row>} */
  #rows = new Map();
  /** @type {Map<Element, Row>} */
  #byElement = new Map();
  #selected = '';
  #filter = '';
  #unplaced = false;
  /** @type {Set<PriceCell>} */
  #lit = new Set();
  #sweep = 0;
  #now = 0; // the server's clock, of the last second
  #seconds = 0;
  /** The list that is shown instead of the groups. @type {string[]|undefined} */
  #list;
  /** The column by which the rows are sorted, and the direction; '' = as they are. */
  #sort = '';
  #down = false;
  #pins = new Set(load('pins', /** @type {string[]} */ ([])));
  #seen;

  /**
   * @param {HTMLTableElement} table with one tbody[data-group] per group
   * @param {HTMLElement} scroller
   * @param {HTMLElement} empty shown when no symbol matches the filter
   * @param {(symbol: string) => void} onSelect
   */
  constructor(table, scroller, empty, onSelect) {
    this.table = table;
    this.scroller = scroller;
    this.empty = empty;
    this.onSelect = onSelect;
    // Rows out of view are drawn every ten seconds, for those who search the page or have it read to
    // them, and on paper. They are not lit.
    this.#seen = new IntersectionObserver((entries) => {
      for (const e of entries) {
        const row = this.#byElement.get(e.target);
        if (!row) continue;
        if (e.isIntersecting && !row.inView) this.#catchUp(row);
        row.inView = e.isIntersecting;
      }
    });
    addEventListener('beforeprint', () => this.#rows.forEach((row) => this.#catchUp(row)));
    table.addEventListener('click', (e) => {
      const target = /** @type {Element} */ (e.target);
      const row = this.#byElement.get(/** @type {Element} */ (target.closest('tr[data-symbol]')));
      if (!row) return;
      if (target.closest('.pin')) this.#togglePin(row);
      else this.select(row.instrument.symbol, true);
    });
    table.addEventListener('keydown', (e) => this.#key(e));
    for (const button of /** @type {NodeListOf<HTMLElement>} */ (table.querySelectorAll('button[data-sort]'))) {
      button.addEventListener('click', () => this.#sortBy(button.dataset.sort ?? ''));
    }
  }

  get selected() {
    return this.#selected;
  }

  /**
   * @param {Iterable<Instrument>} changed
   * @param {number} now the server's clock
   */
  draw(changed, now) {
    this.#now = now;
    for (const instrument of changed) {
      let row = this.#rows.get(instrument.symbol);
      if (!row) {
        row = new Row(instrument, this.#pins.has(instrument.symbol));
        this.#rows.set(instrument.symbol, row);
        this.#byElement.set(row.tr, row);
        this.#seen.observe(row.tr);
        row.drawAge(now);
        this.#unplaced = true;
      }
      if (row.inView) row.draw(this.#lit);
      else row.behind = true;
    }
    if (this.#unplaced) this.#place();
    this.#putOut();
  }

  /** Puts lights out, in this frame or, if no other follows, in one of their own. */
  #putOut() {
    const now = performance.now();
    for (const cell of this.#lit) {
      if (cell.putOut(now)) this.#lit.delete(cell);
    }
    clearTimeout(this.#sweep);
    if (this.#lit.size > 0) this.#sweep = setTimeout(() => this.#putOut(), putOutAfter);
  }

  /**
   * Draws the ages of prices. Called each second.
   *
   * @param {number} now the server's clock
   */
  drawAges(now) {
    this.#now = now;
    this.#seconds++;
    if (this.#sort && this.#seconds % sortEvery === 0 && !this.table.querySelector('tbody:hover, tbody :focus')) this.#place();
    for (const row of this.#rows.values()) {
      if (row.inView || this.#seconds % behindFor === 0) this.#catchUp(row);
    }
  }

  /** @param {Row} row */
  #catchUp(row) {
    if (row.behind) row.draw(this.#lit);
    row.drawAge(this.#now);
  }

  /** @param {string} text */
  filter(text) {
    this.#filter = text.toUpperCase().replace(/[^A-Z]/g, '');
    this.#place();
    if (this.visible().length > 0) this.scroller.scrollTop = 0;
  }

  /**
   * @param {string} symbol
   * @param {boolean} [focus] also move the keyboard focus there
   */
  select(symbol, focus = false) {
    const row = this.#rows.get(symbol);
    if (!row) return;
    const old = this.#rows.get(this.#selected);
    if (old) {
      old.tr.setAttribute('aria-selected', 'false');
      old.tr.tabIndex = -1;
    }
    row.tr.setAttribute('aria-selected', 'true');
    row.tr.tabIndex = 0;
    if (focus) {
      row.tr.focus({ preventScroll: true });
      row.tr.scrollIntoView({ block: 'nearest' });
    }
    const changed = symbol !== this.#selected;
    this.#selected = symbol;
    if (changed) this.onSelect(symbol);
  }

  /**
   * Shows a list in its order, instead of all symbols in their groups.
   *
   * @param {string[]|undefined} list
   */
  showList(list) {
    this.#list = list;
    this.#place();
  }

  /**
   * Sorts by a column; the second time the other way round, the third time not.
   *
   * @param {string} column
   */
  #sortBy(column) {
    if (this.#sort !== column) [this.#sort, this.#down] = [column, false];
    else if (!this.#down) this.#down = true;
    else this.#sort = '';
    for (const th of this.table.querySelectorAll('thead th')) {
      const own = th.querySelector('button')?.dataset.sort === this.#sort && this.#sort !== '';
      if (own) th.setAttribute('aria-sort', this.#down ? 'descending' : 'ascending');
      else th.removeAttribute('aria-sort');
    }
    this.#place();
  }

  /** The rows of a list or of all symbols, sorted; undefined = the groups are shown. */
  #arranged() {
    const rows = this.#list ? this.#list.flatMap((symbol) => this.#rows.get(symbol) ?? []) : [...this.#rows.values()];
    if (!this.#sort) return this.#list && rows;
    const key = keys[/** @type {keyof typeof keys} */ (this.#sort)];
    return rows.sort((a, b) => (this.#down ? -1 : 1) * key(a.instrument, b.instrument) || inOrder(a, b));
  }

  /** The visible rows in their order. */
  visible() {
    return /** @type {HTMLTableRowElement[]} */ ([...this.table.querySelectorAll('tr[data-symbol]:not([hidden])')]);
  }

  #place() {
    this.#unplaced = false;
    const focused = document.activeElement;
    const groups = /** @type {NodeListOf<HTMLTableSectionElement>} */ (this.table.querySelectorAll('tbody[data-group]'));
    let shown = 0;
    const arranged = this.#arranged();
    if (arranged) {
      const listed = new Set(arranged);
      for (const row of this.#rows.values()) if (!listed.has(row)) row.tr.remove();
    }
    for (const body of groups) {
      const own = body.dataset.group === 'list';
      const rows = own ? arranged ?? [] : arranged ? [] : [...this.#rows.values()].filter((r) => groupOf(r) === body.dataset.group).sort(inOrder);
      let visible = 0;
      for (const [n, row] of rows.entries()) {
        if (body.rows[n + 1] !== row.tr) body.insertBefore(row.tr, body.rows[n + 1] ?? null);
        const hidden = !row.instrument.symbol.replace('/', '').includes(this.#filter);
        if (row.tr.hidden !== hidden) row.tr.hidden = hidden;
        if (!hidden) visible++;
      }
      body.hidden = visible === 0;
      shown += visible;
    }
    this.empty.hidden = shown > 0 || this.#rows.size === 0;
    if (focused instanceof HTMLElement && focused !== document.activeElement) focused.focus({ preventScroll: true });
  }

  /** @param {Row} row */
  #togglePin(row) {
    row.setPinned(!row.pinned);
    if (row.pinned) this.#pins.add(row.instrument.symbol);
    else this.#pins.delete(row.instrument.symbol);
    save('pins', [...this.#pins]);
    this.#place();
  }

  /** @param {KeyboardEvent} e */
  #key(e) {
    const row = this.#byElement.get(/** @type {Element} */ (e.target));
    if (!row || e.ctrlKey || e.metaKey || e.altKey) return;
    if (e.key === 'p' || e.key === 'P') {
      this.#togglePin(row);
      row.tr.focus({ preventScroll: true });
      row.tr.scrollIntoView({ block: 'nearest' });
      return;
    }
    const rows = this.visible();
    const at = rows.indexOf(row.tr);
    const page = Math.max(1, Math.floor(this.scroller.clientHeight / row.tr.offsetHeight) - 2);
    const steps = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: rows.length - 1, PageDown: at + page, PageUp: at - page };
    if (!(e.key in steps)) return;
    e.preventDefault();
    const to = rows[Math.max(0, Math.min(rows.length - 1, steps[/** @type {keyof steps} */ (e.key)]))];
    if (to?.dataset.symbol) this.select(to.dataset.symbol, true);
  }
}
