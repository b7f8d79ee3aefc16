// The page's connection: the client of clients/js with a guest session, and what a visitor sees of it.

import { connect } from './client/index.js';
import { noteSession, signIn } from './session.js';

/**
 * @typedef {object} State
 * @property {'connecting'|'live'|'degraded'|'waiting'|'offline'|'refused'|'stopped'} name
 * @property {number} [retryAt] waiting, offline: when the next attempt starts, by performance.now()
 * @property {'guest'|'ended'|'policy'|'too-many'|'too-often'} [why] refused; waiting: only too-many and too-often
 * @property {string} [detail] the server's reason, for the visitor
 *
 * @typedef {import('./client/message.js').Quote} Quote
 * @typedef {import('./client/message.js').Message} Message
 */

const pingEvery = 10_000;
const firstPing = 2000; // ms, after the burst of the first snapshots
const guestAgainAfter = 60_000;

export class Feed {
  /** @type {ReturnType<typeof connect>|undefined} */
  #fx;
  /** @type {import('./client/subscriptions.js').Subscription|undefined} */
  #subscription;
  /** The candles that are followed: symbol, interval, callback. @type {[string, string, (candle: any) => void]|undefined} */
  #candles;
  /** @type {import('./client/subscriptions.js').Subscription|undefined} */
  #following;
  #rate = 0;
  #endedAt = -Infinity; // when the session was last ended by the server
  #pingAt = 0;
  #pingSent = 0;

  /**
   * @param {object} on
   * @param {(s: State) => void} on.state
   * @param {(q: Quote) => void} on.quote
   * @param {(symbol: string, status: string) => void} on.status
   * @param {(day: import('./client/message.js').Day) => void} on.day
   * @param {() => void} on.gap
   * @param {(m: Message) => void} on.message answers, and messages about the connection
   * @param {(text: string) => void} on.error
   */
  constructor(on) {
    this.on = on;
    /** @type {State} */
    this.state = { name: 'stopped' };
    /** Server clock minus browser clock in ms, an estimate; undefined until known. @type {number|undefined} */
    this.clockOffset = undefined;
    /** Round trip of the last ping in ms. @type {number|undefined} */
    this.roundTrip = undefined;
    this.reconnects = 0;
    setInterval(() => this.#ping(), 500);
    addEventListener('offline', () => this.state.name === 'waiting' && this.#set({ ...this.state, name: 'offline' }));
  }

  start() {
    this.#fx?.close();
    const fx = connect({ url: document.baseURI, signIn });
    this.#fx = fx;
    fx.addEventListener('state', ({ detail }) => fx === this.#fx && this.#changed(detail));
    fx.addEventListener('status', ({ detail }) => this.on.status(detail.symbol, detail.status));
    fx.addEventListener('day', ({ detail }) => this.on.day(detail));
    fx.addEventListener('gap', () => this.on.gap());
    fx.addEventListener('message', ({ detail }) => this.#receive(detail));
    fx.addEventListener('error', ({ detail }) => {
      if (detail.kind === 'protocol' || detail.kind === 'command') this.on.error(`${detail.symbol ? `${detail.symbol}: ` : ''}${detail.message}`);
    });
    this.#subscription = this.#following = undefined;
    this.subscribe(this.#rate);
    if (this.#candles) this.follow(...this.#candles);
  }

  /** Ends the connection. Only start opens another one. */
  stop() {
    const fx = this.#fx;
    this.#fx = undefined;
    fx?.close();
    this.#set({ name: 'stopped' });
  }

  /** Connects now if the connection waits for its next attempt. */
  retryNow() {
    this.#fx?.retry();
  }

  /** @param {number} rate updates per second and symbol; 0 = every tick */
  subscribe(rate) {
    this.#rate = rate;
    const before = this.#subscription;
    this.#subscription = this.#fx?.subscribe('*', { maxRate: rate, day: true }, (quote) => this.on.quote(quote));
    this.#fx?.pace(rate === 0 ? 0 : 1000 / rate, { align: true });
    before?.close();
  }

  /**
   * Follows the candles of one symbol, or of none.
   *
   * @param {string} [symbol]
   * @param {string} [interval]
   * @param {(candle: any) => void} [callback]
   */
  follow(symbol, interval, callback) {
    this.#following?.close();
    this.#following = undefined;
    this.#candles = symbol && interval && callback ? [symbol, interval, callback] : undefined;
    if (this.#candles) this.#following = this.#fx?.subscribe(this.#candles[0], { candles: this.#candles[1] }, /** @type {any} */ (this.#candles[2]));
  }

  /** The role of the session, or ''. */
  get role() {
    return String(this.#fx?.welcome?.session?.role ?? '');
  }

  /** Whether the prices are those of the simulator. */
  get simulated() {
    return this.#fx?.welcome?.simulated === true;
  }

  get connId() {
    return String(this.#fx?.welcome?.conn_id ?? '');
  }

  /** Returns an estimate of the server's clock, in ms since 1970. */
  serverNow() {
    return Date.now() + (this.clockOffset ?? 0);
  }

  /** @param {State} state */
  #set(state) {
    this.state = state;
    this.on.state(state);
  }

  /** @param {import('./client/client.js').StateDetail} detail */
  #changed({ state, retryAt, reason }) {
    switch (state) {
      case 'live':
        this.#pingAt = performance.now() + firstPing;
        noteSession(this.#fx?.welcome?.session?.expires_at);
        this.clockOffset ??= Date.parse(this.#fx?.welcome?.server_time) - Date.now();
        break;
      case 'waiting':
        this.reconnects++;
        if (reason?.code === 4001) noteSession();
        return this.#set({ name: navigator.onLine ? 'waiting' : 'offline', retryAt, why: { 429: /** @type {const} */ ('too-often'), 4029: /** @type {const} */ ('too-often'), 4009: /** @type {const} */ ('too-many') }[Number(reason?.code)] });
      case 'closed':
        if (reason?.code === 4001) noteSession();
        return this.#refused(reason);
    }
    this.#set({ name: state });
  }

  /**
   * The server has refused the client. A session that has ended is replaced by a new guest session, but
   * not in a loop.
   *
   * @param {import('./client/client.js').Fault|undefined} reason
   */
  #refused(reason) {
    const now = performance.now();
    if (reason?.code === 4001 && now - this.#endedAt > guestAgainAfter) {
      this.#endedAt = now;
      this.#fx?.retry();
      return;
    }
    const why = reason?.code === 4001 ? 'ended' : reason?.code === 403 ? 'guest' : 'policy';
    this.#set({ name: 'refused', why, detail: why === 'guest' ? undefined : reason?.message });
  }

  /** @param {Message} m */
  #receive(m) {
    if (m.type === 'pong') {
      this.roundTrip = performance.now() - this.#pingSent;
      const offset = Date.parse(m.ts) + this.roundTrip / 2 - Date.now();
      if (Number.isFinite(offset)) this.clockOffset = offset;
    }
    this.on.message(m);
  }

  /** Sends a ping every pingEvery ms. */
  #ping() {
    const now = performance.now();
    if (this.state.name !== 'live' || now < this.#pingAt) return;
    this.#pingAt = now + pingEvery;
    this.#pingSent = now;
    this.#fx?.send({ op: 'ping' });
  }
}
