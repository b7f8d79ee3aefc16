// The table of prices. Each row is created once. A frame writes only the cells whose text has
// changed. Columns have fixed widths, so no change of text moves another cell.

import { ageOf } from './age.js';
import { spreadInPips, split } from './price.js';
import { load, save } from './settings.js';

const majors = ['EUR/USD', 'USD/JPY', 'GBP/USD', 'USD/CHF', 'AUD/USD', 'USD/CAD', 'NZD/USD'];
const litFor = 350; // ms; light goes on and off in one step: fading hundreds of cells would cost a frame every 16 ms
const metals = new Set(['XAU', 'XAG', 'XPT', 'XPD']);

/** @typedef {import('./board.js').Instrument} Instrument */

/** One price cell: arrow, big figure, pip digits, fraction. */
class PriceCell {
  #text = '';
  #move = 0;
  #lit = false;
  /** When the light of the last change must go off, by performance.now(). */
  litUntil = 0;

  /** @param {HTMLTableCellElement} cell */
  constructor(cell) {
    // The box has a fixed size and CSS containment, so that new text does not lay out the table.
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
    const turned = move !== this.#move;
    this.#text = text;
    this.#move = move;
    if (turned || light !== this.#lit) this.#show(light);
    if (light) this.litUntil = performance.now() + litFor;
    return light;
  }

  putOut() {
    if (this.#lit) this.#show(false);
  }

  /** @param {boolean} lit */
  #show(lit) {
    this.#lit = lit;
    const direction = this.#move > 0 ? ' up' : this.#move < 0 ? ' down' : '';
    this.box.className = `price${direction}${lit ? ' lit' : ''}`;
  }
}

class Row {
  #spread = '';
  #word = '';
  #age = '';
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
    tr.setAttribute('aria-selected', 'false');
    this.pin = document.createElement('button');
    this.pin.type = 'button';
    this.pin.className = 'pin';
    this.pin.tabIndex = -1;
    tr.insertCell().append(this.pin);
    const name = tr.appendChild(document.createElement('th'));
    name.scope = 'row';
    const [base, quote] = instrument.symbol.split('/');
    const slash = document.createElement('i');
    slash.textContent = '/';
    name.append(base, slash, quote ?? '');
    this.bid = new PriceCell(tr.insertCell());
    this.ask = new PriceCell(tr.insertCell());
    this.spread = tr.insertCell().appendChild(document.createElement('div'));
    this.spread.className = 'spread';
    const age = tr.insertCell();
    age.className = 'age';
    this.word = age.appendChild(document.createElement('span'));
    this.age = age.appendChild(document.createTextNode(''));
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
    const spread = i.hasPrice ? spreadInPips(i.bid, i.ask, i.pip) : '';
    if (spread !== this.#spread) this.spread.textContent = this.#spread = spread;
    if (i.status !== this.#state) this.tr.dataset.status = this.#state = i.status;
  }

  /** @param {number} now the server's clock */
  drawAge(now) {
    const [word, age] = ageOf(this.instrument, now);
    const before = word === '' ? '' : `${word} · `;
    if (before !== this.#word) this.word.textContent = this.#word = before;
    if (age !== this.#age) this.age.data = this.#age = age;
  }

  /** The group of the table that the row belongs to. */
  get group() {
    if (this.pinned) return 'pinned';
    const { symbol } = this.instrument;
    if (majors.includes(symbol)) return 'majors';
    return symbol.split('/').some((code) => metals.has(code)) ? 'metals' : 'crosses';
  }
}

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
    // Rows out of view are drawn once a second and are not lit.
    this.#seen = new IntersectionObserver((entries) => {
      for (const e of entries) {
        const row = this.#byElement.get(e.target);
        if (!row) continue;
        if (e.isIntersecting && row.behind) row.draw(this.#lit); // while out of view it is not lit
        row.inView = e.isIntersecting;
      }
    });
    table.addEventListener('click', (e) => {
      const target = /** @type {Element} */ (e.target);
      const row = this.#byElement.get(/** @type {Element} */ (target.closest('tr[data-symbol]')));
      if (!row) return;
      if (target.closest('.pin')) this.#togglePin(row);
      else this.select(row.instrument.symbol, true);
    });
    table.addEventListener('keydown', (e) => this.#key(e));
  }

  get selected() {
    return this.#selected;
  }

  /**
   * @param {Iterable<Instrument>} changed
   * @param {number} now the server's clock
   */
  draw(changed, now) {
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
    if (this.#lit.size > 0) this.#sweep ||= setTimeout(() => this.#putOut(), litFor / 3);
  }

  #putOut() {
    const now = performance.now();
    for (const cell of this.#lit) {
      if (cell.litUntil > now) continue;
      cell.putOut();
      this.#lit.delete(cell);
    }
    this.#sweep = this.#lit.size > 0 ? setTimeout(() => this.#putOut(), litFor / 3) : 0;
  }

  /** @param {number} now the server's clock */
  drawAges(now) {
    for (const row of this.#rows.values()) {
      if (row.behind) row.draw(this.#lit);
      row.drawAge(now);
    }
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

  /** The visible rows in their order. */
  visible() {
    return /** @type {HTMLTableRowElement[]} */ ([...this.table.querySelectorAll('tr[data-symbol]:not([hidden])')]);
  }

  #place() {
    this.#unplaced = false;
    const focused = document.activeElement;
    const groups = /** @type {NodeListOf<HTMLTableSectionElement>} */ (this.table.querySelectorAll('tbody[data-group]'));
    let shown = 0;
    for (const body of groups) {
      const rows = [...this.#rows.values()].filter((r) => r.group === body.dataset.group).sort(inOrder);
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
