// The WebSocket to the server. It signs in, detects a silent server, and reconnects with backoff,
// unless the server has refused the client.

import { signIn } from './session.js';

/**
 * @typedef {object} State
 * @property {'connecting'|'live'|'waiting'|'offline'|'refused'|'stopped'} name
 * @property {number} [retryAt] waiting, offline: when the next attempt starts, by performance.now()
 * @property {'guest'|'ended'|'policy'|'too-many'} [why] refused; waiting: only too-many
 * @property {string} [detail] the server's reason, for the visitor
 */

const subprotocol = 'fx.v1';
const openTimeout = 10_000;
const firstBackoff = 500;
const maxBackoff = 30_000;
const steadyAfter = 10_000; // ms; a connection that lasts this long resets the backoff
const pingEvery = 10_000;
const guestAgainAfter = 60_000;

export class Connection {
  /** @type {WebSocket|undefined} */
  #socket;
  #attempt = 0; // of the backoff
  #turn = 0; // counts attempts; late events of an earlier attempt are ignored
  #checkSession = true;
  #openedAt = 0;
  #endedAt = -Infinity; // when the session was last ended by the server
  #lastFrame = 0;
  #heartbeat = 1000;
  #advised = false; // the server chose the length of the current wait
  #advisedDelay = 0; // ms, from the server's closing message
  #retryTimer = 0;
  #openTimer = 0;
  #pingAt = 0;
  #pingSent = 0;
  #id = 0;

  /**
   * @param {object} on
   * @param {(s: State) => void} on.state
   * @param {(m: any) => void} on.message every message of the server, after this class has read it
   * @param {() => void} on.open called after the welcome, to subscribe
   */
  constructor(on) {
    this.on = on;
    /** @type {State} */
    this.state = { name: 'stopped' };
    this.role = '';
    /** Server clock minus browser clock in ms, an estimate; undefined until known. @type {number|undefined} */
    this.clockOffset = undefined;
    /** Round trip of the last ping in ms. @type {number|undefined} */
    this.roundTrip = undefined;
    this.reconnects = 0;
    setInterval(() => this.#check(), 500);
    addEventListener('online', () => this.#wake());
    addEventListener('offline', () => this.#check());
    document.addEventListener('visibilitychange', () => {
      if (document.visibilityState !== 'visible') return;
      this.#check();
      this.#wake();
    });
  }

  start() {
    this.#attempt = 0;
    this.#checkSession = true;
    this.#connect();
  }

  /** Closes the connection. Only start opens another one. */
  stop() {
    this.#drop();
    this.#set({ name: 'stopped' });
  }

  /** Connects now if the connection waits for its next attempt. */
  retryNow() {
    if (this.state.name === 'waiting' || this.state.name === 'offline') this.#connect();
  }

  /** Cuts a backoff short, but not a wait that the server asked for. */
  #wake() {
    if (!this.#advised) this.retryNow();
  }

  /** @param {object} command */
  send(command) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return 0;
    this.#socket.send(JSON.stringify({ id: ++this.#id, ...command }));
    return this.#id;
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

  /** Drops the current socket, the timers and all pending events. */
  #drop() {
    this.#turn++;
    clearTimeout(this.#retryTimer);
    clearTimeout(this.#openTimer);
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.close();
  }

  async #connect() {
    this.#drop();
    const turn = this.#turn;
    this.#advisedDelay = 0;
    this.#set({ name: 'connecting' });
    if (this.#checkSession) {
      const session = await signIn();
      if (turn !== this.#turn) return;
      switch (session.result) {
        case 'forbidden':
          return this.#refuse('guest');
        case 'limited':
          return this.#retry(session.retryAfterMs);
        case 'failed':
          return this.#retry();
      }
      this.role = session.role ?? '';
    }
    this.#open(turn);
  }

  /** @param {number} turn */
  #open(turn) {
    const url = new URL('ws', document.baseURI);
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    const socket = new WebSocket(url, [subprotocol]);
    this.#socket = socket;
    this.#checkSession = true; // until the welcome: a browser does not distinguish a 401 from a dead server
    this.#openTimer = setTimeout(() => {
      if (turn === this.#turn) this.#retry();
    }, openTimeout);
    socket.onopen = () => {
      this.#lastFrame = this.#openedAt = performance.now();
      this.#pingAt = this.#openedAt + 2000; // after the burst of the first snapshots
    };
    socket.onmessage = (event) => {
      if (turn === this.#turn) this.#receive(event.data);
    };
    socket.onclose = (event) => {
      if (turn === this.#turn) this.#closed(event.code, event.reason);
    };
  }

  /** @param {unknown} data */
  #receive(data) {
    this.#lastFrame = performance.now();
    let m;
    try {
      m = JSON.parse(String(data));
    } catch {
      return; // not a message of this protocol
    }
    switch (m?.type) {
      case 'welcome':
        clearTimeout(this.#openTimer);
        this.#checkSession = false;
        this.#heartbeat = m.heartbeat_ms > 0 ? m.heartbeat_ms : 1000;
        this.clockOffset ??= Date.parse(m.server_time) - Date.now();
        this.role = m.session?.role ?? this.role;
        this.on.message(m);
        this.on.open();
        return;
      case 'ack':
        if (this.state.name !== 'live') this.#set({ name: 'live' });
        break;
      case 'pong': {
        const took = this.#lastFrame - this.#pingSent;
        this.roundTrip = took;
        const offset = Date.parse(m.ts) + took / 2 - Date.now();
        if (Number.isFinite(offset)) this.clockOffset = offset;
        return;
      }
      case 'closing':
        this.#advisedDelay = m.reconnect_after_ms > 0 ? m.reconnect_after_ms : 0;
        break;
    }
    this.on.message(m);
  }

  /** Detects a silent server, and sends a ping every pingEvery ms. */
  #check() {
    if (!this.#socket || this.#socket.readyState !== WebSocket.OPEN) return;
    const now = performance.now();
    if (now - this.#lastFrame > 3 * this.#heartbeat) {
      this.#retry();
      return;
    }
    if (now >= this.#pingAt && this.state.name === 'live') {
      this.#pingAt = now + pingEvery;
      this.#pingSent = now;
      this.send({ op: 'ping' });
    }
  }

  /**
   * @param {number} code
   * @param {string} reason
   */
  #closed(code, reason) {
    const now = performance.now();
    switch (code) {
      case 4001: // the session expired or was revoked: get a new guest session, but not in a loop
        this.#checkSession = true;
        if (now - this.#endedAt < guestAgainAfter) return this.#refuse('ended', reason);
        this.#endedAt = now;
        this.#connect();
        return;
      case 1002:
      case 1003:
      case 1007:
      case 1008:
      case 1009:
        return this.#refuse('policy', reason);
      case 4009: // a connection that the browser or another device has left behind gives way after a while
        return this.#retry(this.#advisedDelay || maxBackoff, 'too-many');
      case 4029:
        return this.#retry(this.#advisedDelay || maxBackoff);
      default: // 1001, 1006, 1011, 1012, 1013, 4008 and codes of later versions
        return this.#retry(this.#advisedDelay || undefined);
    }
  }

  /**
   * @param {State['why']} why
   * @param {string} [detail]
   */
  #refuse(why, detail) {
    this.#drop();
    this.#set({ name: 'refused', why, detail });
  }

  /**
   * Waits and connects again. It waits as long as the server asked for, or else with exponential
   * backoff and full jitter, so that the clients of a restarted server do not reconnect all at once.
   *
   * @param {number} [delay] in ms
   * @param {State['why']} [why]
   */
  #retry(delay, why) {
    const now = performance.now();
    if (this.#openedAt > 0 && now - this.#openedAt > steadyAfter) this.#attempt = 0;
    this.#openedAt = 0;
    this.#drop();
    this.reconnects++;
    this.#advised = delay !== undefined;
    if (delay === undefined) {
      delay = Math.random() * Math.min(maxBackoff, firstBackoff * 2 ** this.#attempt);
      this.#attempt = Math.min(this.#attempt + 1, 10);
    }
    this.#retryTimer = setTimeout(() => this.#connect(), delay);
    // navigator.onLine may be wrong, so the timer runs anyway. The event "online" cuts it short.
    this.#set({ name: navigator.onLine ? 'waiting' : 'offline', retryAt: now + delay, why });
  }
}
