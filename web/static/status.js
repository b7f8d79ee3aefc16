// What the page says of its connection: the state, the strip below it, the title, and the notice that
// replaces the prices.

import { refusedFor } from './api.js';
import { gates, names, noPrices, tooMany, tooOften } from './notices.js';

/**
 * @typedef {import('./board.js').Board} Board
 * @typedef {import('./board.js').Instrument} Instrument
 * @typedef {import('./feed.js').Feed} Feed
 */

/** @param {string} id */
const at = (id) => /** @type {HTMLElement} */ (document.getElementById(id));
const root = document.documentElement;

export class StatusLine {
  #emptyFor = 0; // seconds
  /** The visitor is signing out. */
  leaving = false;

  /**
   * @param {Board} board
   * @param {Feed} feed
   * @param {() => Instrument|undefined} chosen
   */
  constructor(board, feed, chosen) {
    this.board = board;
    this.feed = feed;
    this.chosen = chosen;
  }

  /** Shows everything again, on a change and each second. */
  show() {
    const { state } = this.feed;
    if (state.name === 'stopped' && !this.leaving) return; // not started yet
    const connected = state.name === 'live' || state.name === 'degraded';
    const name = state.name === 'live' ? this.board.state : state.name;
    const seconds = state.retryAt === undefined ? 0 : Math.max(0, Math.ceil((state.retryAt - performance.now()) / 1000));
    if (root.dataset.state !== name) root.dataset.state = name;
    if (root.dataset.frozen !== String(!connected)) root.dataset.frozen = String(!connected);
    setText('state-name', names[name]);
    setText('state-more', seconds > 0 ? `in ${seconds} s` : '');
    at('retry').hidden = name !== 'waiting' && name !== 'offline' || state.why === 'too-often';
    at('simulated').hidden = !this.feed.simulated;
    setText('who', this.feed.role && connected ? this.feed.role : '');
    at('sign-out').hidden = !connected;
    const strip = this.#strip(name, connected, seconds);
    setText('strip', strip);
    at('strip').hidden = strip === '';

    const gate = state.name === 'stopped' ? gates.stopped : state.name === 'refused' ? gates[state.why ?? 'policy'] : undefined;
    at('gate').hidden = gate === undefined;
    at('desk').hidden = gate !== undefined;
    if (gate) {
      at('strip').hidden = true;
      setText('gate-title', gate.title);
      setText('gate-text', gate.text);
      setText('gate-more', state.detail ? `The server's reason: ${state.detail}` : gate.more);
      setText('gate-button', gate.button);
    }
    this.showTitle();
  }

  /**
   * @param {keyof typeof names} name
   * @param {boolean} connected
   * @param {number} seconds until the next attempt
   */
  #strip(name, connected, seconds) {
    const { why } = this.feed.state;
    const refused = Math.ceil(refusedFor() / 1000);
    if (name === 'degraded') return 'The server has lost its source of prices. The prices shown may be late.';
    if (name === 'closed') return 'The market is closed. These are the last prices.';
    if (name === 'stale') return 'No new prices are arriving. These are the last prices.';
    if (why === 'too-many') return tooMany;
    if (why === 'too-often') return tooOften(seconds);
    if (!connected && name !== 'stopped' && this.#hasPrices()) return 'Not live. These are the last prices received.';
    return connected && refused > 0 ? `Too many requests. The earlier prices of the chart follow in ${refused} s.` : '';
  }

  #hasPrices() {
    return [...this.board.instruments.values()].some((i) => i.hasPrice);
  }

  /** Says that there are no prices, and after a while how to publish some. Called each second. */
  showEmptiness() {
    const empty = this.board.instruments.size === 0;
    at('waiting').hidden = !empty;
    this.#emptyFor = empty && this.feed.state.name === 'live' ? this.#emptyFor + 1 : 0;
    setText('waiting', this.#emptyFor > 2 ? noPrices : 'Waiting for the first prices.');
  }

  showTitle() {
    const chosen = this.chosen();
    const state = root.dataset.state ?? 'connecting';
    const live = root.dataset.frozen === 'false';
    const price = chosen?.hasPrice && live ? `${chosen.bid} ${chosen.symbol}` : '';
    const late = chosen?.hasPrice && chosen.status !== 'live' ? chosen.status : '';
    const word = live && state !== 'degraded' ? late : names[/** @type {keyof typeof names} */ (state)];
    const title = [price, word, 'fxcast'].filter(Boolean).join(' · ');
    if (document.title !== title) document.title = title;
  }
}

/**
 * @param {string} id
 * @param {string} text
 */
export function setText(id, text) {
  const e = at(id);
  if (e.textContent !== text) e.textContent = text;
}
