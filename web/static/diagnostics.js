// The line at the foot of the page. It shows whether every tick is accounted for, and the delay
// of prices.

/** @typedef {import('./board.js').Board} Board */
/** @typedef {import('./feed.js').Feed} Feed */

const count = new Intl.NumberFormat('en');
const delaysKept = 200;

export class Diagnostics {
  /** @type {number[]} */
  #delays = [];
  #next = 0;

  /**
   * @param {Board} board
   * @param {Feed} feed
   */
  constructor(board, feed) {
    this.board = board;
    this.feed = feed;
    this.rate = '';
    this.error = '';
  }

  /**
   * Records the delay of a quote, from its own time to now.
   *
   * @param {string} ts
   */
  arrived(ts) {
    if (this.feed.clockOffset === undefined) return;
    this.#delays[this.#next++ % delaysKept] = this.feed.serverNow() - Date.parse(ts);
  }

  /** Called each second. */
  draw() {
    const { updates, skipped, gaps } = this.board.counters;
    const delay = median(this.#delays);
    const roundTrip = this.feed.roundTrip;
    set('d-updates', count.format(updates));
    set('d-skipped', count.format(skipped));
    set('d-gaps', count.format(gaps));
    set('d-symbols', count.format(this.board.instruments.size));
    set('d-reconnects', count.format(this.feed.reconnects));
    set('d-round-trip', roundTrip === undefined ? '–' : `${roundTrip.toFixed(roundTrip < 10 ? 1 : 0)} ms`);
    set('d-delay', delay === undefined ? '–' : milliseconds(delay));
    set('d-rate', this.rate || '–');
    set('d-conn', this.feed.connId || '–');
    set('d-error', this.error || 'none');
    set('integrity', gaps === 1 ? '1 gap' : `${count.format(gaps)} gaps`);
    set('brief', `${count.format(updates)} updates, ${count.format(skipped)} conflated${delay === undefined ? '' : `, delay ${delay < 1 ? '' : 'about '}${milliseconds(delay)}`}`);
    const integrity = /** @type {HTMLElement} */ (document.getElementById('integrity'));
    integrity.dataset.ok = String(gaps === 0);
  }
}

/**
 * @param {string} id
 * @param {string} text
 */
function set(id, text) {
  const e = document.getElementById(id);
  if (e && e.textContent !== text) e.textContent = text;
}

/** @param {number} ms */
function milliseconds(ms) {
  if (ms < 1) return 'under 1 ms'; // also a negative delay, since the clocks differ a little
  return ms < 10_000 ? `${Math.round(ms)} ms` : `${Math.round(ms / 1000)} s`;
}

/** @param {number[]} values */
function median(values) {
  if (values.length === 0) return undefined;
  return [...values].sort((a, b) => a - b)[values.length >> 1];
}
