// Live prices on the pages of other sites, as an element with a style of its own:
//
//   <script type="module" src="https://quotes.example/embed.js"></script>
//   <fx-rates symbols="EUR/USD,GBP/USD"></fx-rates>
//
// Attributes: symbols, with wildcards; token, a bearer, else the visitor is a guest; rate, updates per
// second and symbol. The server must list the site's origin in ALLOWED_ORIGINS.

import { connect } from './client/index.js';
import { compare, decimals, split } from './price.js';

/** @typedef {import('./client/message.js').Quote} Quote */

const server = new URL('.', import.meta.url);
const sheet = new CSSStyleSheet();
sheet.replaceSync(`
  :host { display: inline-block; font: 14px/1.4 system-ui, sans-serif; font-variant-numeric: tabular-nums; color: var(--fx-text, CanvasText); background: var(--fx-ground, Canvas); border: 1px solid var(--fx-line, color-mix(in srgb, CanvasText 20%, transparent)); border-radius: 6px; color-scheme: light dark; }
  :host([hidden]) { display: none; }
  table { border-collapse: collapse; width: 100%; }
  th, td { padding: 4px 12px; text-align: right; white-space: nowrap; font-weight: 400; }
  tbody th, thead th:first-child { text-align: left; }
  tbody th { font-weight: 600; }
  thead, p, .old td { color: var(--fx-dim, color-mix(in srgb, CanvasText 65%, Canvas)); }
  thead, p { font-size: 12px; }
  b { font-weight: 600; }
  .up b { color: var(--fx-up, light-dark(#006b58, #4fc0a4)); }
  .down b { color: var(--fx-down, light-dark(#b02d12, #f0836a)); }
  .old b { color: inherit; font-weight: 400; }
  p { margin: 0; padding: 2px 12px 6px; }
  p:empty { display: none; }`);

/** The token of the guest that all elements of the page share. @type {Promise<string>|undefined} */
let guest;

/**
 * @param {string} path
 * @param {string} [token]
 */
async function post(path, token) {
  const answer = await fetch(new URL(path, server), { method: 'POST', credentials: 'omit', headers: token ? { Authorization: `Bearer ${token}` } : {} });
  if (answer.ok) return answer.json();
  throw Object.assign(new Error(`${path} answered ${answer.status}`), { status: answer.status, retryAfterMs: Number(answer.headers.get('Retry-After')) * 1000 || undefined });
}

/** Returns a ticket of the guest, which is a new one if the old session has ended. */
async function guestTicket() {
  guest ??= post('api/v1/session/guest').then(({ token }) => token);
  try {
    return (await post('api/v1/ws-ticket', await guest)).ticket;
  } catch (e) {
    guest = undefined;
    if (/** @type {{ status?: number }} */ (e).status !== 401) throw e;
    guest = post('api/v1/session/guest').then(({ token }) => token);
    return (await post('api/v1/ws-ticket', await guest)).ticket;
  }
}

class Rates extends HTMLElement {
  static observedAttributes = ['symbols', 'token', 'rate'];
  /** @type {ReturnType<typeof connect>|undefined} */
  #fx;
  /** @type {Map<string, { tr: HTMLTableRowElement, bid: Cell, ask: Cell }>} */
  #rows = new Map();
  #restarting = false;
  #body;
  #note;

  constructor() {
    super();
    const root = this.attachShadow({ mode: 'open' });
    root.adoptedStyleSheets = [sheet];
    const table = root.appendChild(document.createElement('table'));
    const head = table.createTHead().insertRow();
    for (const title of ['Symbol', 'Bid', 'Ask']) {
      const th = head.appendChild(document.createElement('th'));
      th.scope = 'col';
      th.textContent = title;
    }
    this.#body = table.createTBody();
    this.#note = root.appendChild(document.createElement('p'));
    this.#note.setAttribute('role', 'status');
  }

  connectedCallback() {
    this.#start();
  }

  disconnectedCallback() {
    this.#fx?.close();
    this.#fx = undefined;
  }

  attributeChangedCallback() {
    if (!this.#fx || this.#restarting) return;
    this.#restarting = true;
    queueMicrotask(() => {
      this.#restarting = false;
      if (this.isConnected) this.#start();
    });
  }

  #start() {
    this.#fx?.close();
    this.#rows.clear();
    this.#body.replaceChildren();
    this.#say('Connecting');
    const symbols = (this.getAttribute('symbols') ?? '*').split(',').map((s) => s.trim()).filter(Boolean);
    const token = this.getAttribute('token') ?? undefined;
    try {
      const fx = connect({ url: server, ...(token ? { token } : { ticket: guestTicket }) });
      this.#fx = fx;
      fx.addEventListener('state', () => fx === this.#fx && this.#showState());
      fx.addEventListener('error', ({ detail }) => {
        if (fx === this.#fx && detail.kind === 'command' && detail.symbol) this.#say(`${detail.symbol}: ${detail.message}`);
      });
      fx.addEventListener('status', ({ detail }) => this.#rows.get(detail.symbol)?.tr.classList.toggle('old', detail.status !== 'live'));
      fx.subscribe(symbols, { maxRate: Number(this.getAttribute('rate') ?? 2) }, (quote) => this.#show(quote));
    } catch (e) {
      this.#say(/** @type {Error} */ (e).message);
    }
  }

  #showState() {
    const { state, welcome } = /** @type {import('./client/client.js').Client} */ (/** @type {unknown} */ (this.#fx));
    for (const { tr } of this.#rows.values()) if (state !== 'live') tr.classList.add('old');
    if (state === 'live') this.#say(welcome?.simulated ? 'Simulated prices' : '');
    else this.#say({ connecting: 'Connecting', waiting: 'Not live, reconnecting', degraded: 'Prices may be late', closed: 'This page may not show prices of the server' }[state]);
  }

  /** @param {Quote} quote */
  #show(quote) {
    const { symbol, bid, ask, status = 'live' } = quote;
    let row = this.#rows.get(symbol);
    if (!row) {
      const after = [...this.#rows.keys()].sort().find((s) => s > symbol);
      const tr = this.#body.insertRow(after ? [...this.#body.rows].findIndex((r) => r.cells[0].textContent === after) : -1);
      const th = tr.appendChild(document.createElement('th'));
      th.scope = 'row';
      th.textContent = symbol;
      row = { tr, bid: new Cell(tr.insertCell()), ask: new Cell(tr.insertCell()) };
      this.#rows.set(symbol, row);
    }
    row.bid.show(symbol, bid);
    row.ask.show(symbol, ask);
    row.tr.classList.toggle('old', status !== 'live');
  }

  /** @param {string} text */
  #say(text) {
    this.#note.textContent = text;
  }
}

/** A price, with its pip digits set off and colored by its last move. */
class Cell {
  #text = '';

  /** @param {HTMLTableCellElement} td */
  constructor(td) {
    this.td = td;
  }

  /**
   * @param {string} symbol
   * @param {string} text
   */
  show(symbol, text) {
    if (text === this.#text) return;
    const pips = symbol.endsWith('/JPY') ? 2 : Math.min(4, decimals(text));
    const [figure, digits, fraction] = split(text, pips);
    const strong = document.createElement('b');
    strong.textContent = digits;
    this.td.replaceChildren(figure, strong, fraction);
    if (this.#text) this.td.className = compare(text, this.#text) > 0 ? 'up' : 'down';
    this.#text = text;
  }
}

customElements.define('fx-rates', Rates);
