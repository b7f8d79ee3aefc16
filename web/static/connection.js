// The WebSocket to the server, kept alive: signing in, noticing silence, coming
// back with backoff, and knowing when not to.

import { signIn } from './session.js';

/**
 * @typedef {object} State
 * @property {'connecting'|'live'|'waiting'|'offline'|'refused'|'stopped'} name
 * @property {number} [retryAt] waiting, offline: when the next attempt starts, by performance.now()
 * @property {'guest'|'ended'|'too-many'|'policy'} [why] refused
 * @property {string} [detail] the server's reason, for the visitor
 */

const subprotocol = 'fx.v1';
const openTimeout = 10_000;
const firstBackoff = 500;
const maxBackoff = 30_000;
const steadyAfter = 10_000; // a connection that lived so long ends the backoff
const pingEvery = 10_000;
const guestAgainAfter = 60_000;

export class Connection {
  /** @type {WebSocket|undefined} */
  #socket;
  #attempt = 0; // of the backoff
  #turn = 0; // what belongs to an earlier turn is ignored when it comes late
  #checkSession = true;
  #openedAt = 0;
  #endedAt = -Infinity; // when the session was last ended by the server
  #lastFrame = 0;
  #heartbeat = 1000;
  #told = false; // the wait under way is as long as the server asked for
  #toldDelay = 0; // from the server's closing message
  #retryTimer = 0;
  #openTimer = 0;
  #pingAt = 0;
  #pingSent = 0;
  #id = 0;

  /**
   * @param {object} on
   * @param {(s: State) => void} on.state
   * @param {(m: any) => void} on.message every message of the server, after this class has read it
   * @param {() => void} on.open the welcome has come: time to subscribe
   */
  constructor(on) {
    this.on = on;
    /** @type {State} */
    this.state = { name: 'stopped' };
    this.role = '';
    /** Server clock minus ours in ms, about; undefined until known. @type {number|undefined} */
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

  /** Ends the connection and stays away until start. */
  stop() {
    this.#drop();
    this.#set({ name: 'stopped' });
  }

  /** Cuts a wait short. Does nothing where none is under way. */
  retryNow() {
    if (this.state.name === 'waiting' || this.state.name === 'offline') this.#connect();
  }

  /** Cuts a backoff short, but not a wait that the server asked for. */
  #wake() {
    if (!this.#told) this.retryNow();
  }

  /** @param {object} command */
  send(command) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return 0;
    this.#socket.send(JSON.stringify({ id: ++this.#id, ...command }));
    return this.#id;
  }

  /** The server's clock, about, in ms since 1970. */
  serverNow() {
    return Date.now() + (this.clockOffset ?? 0);
  }

  /** @param {State} state */
  #set(state) {
    this.state = state;
    this.on.state(state);
  }

  /** Forgets the current socket, timers and everything still under way. */
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
    this.#toldDelay = 0;
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
    this.#checkSession = true; // unless this one opens; a browser does not tell a 401 from a dead server
    this.#openTimer = setTimeout(() => {
      if (turn === this.#turn) this.#retry();
    }, openTimeout);
    socket.onopen = () => {
      this.#lastFrame = this.#openedAt = performance.now();
      this.#pingAt = this.#openedAt + 2000; // when the first rush is over
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
      return; // not of this protocol
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
        this.#toldDelay = m.reconnect_after_ms > 0 ? m.reconnect_after_ms : 0;
        break;
    }
    this.on.message(m);
  }

  /** Notices a silent server, and asks for the time now and then. */
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
      case 4001: // the session expired or was revoked: a guest's is replaced, but not in a loop
        this.#checkSession = true;
        if (now - this.#endedAt < guestAgainAfter) return this.#refuse('ended', reason);
        this.#endedAt = now;
        this.#connect();
        return;
      case 4009:
        return this.#refuse('too-many', reason);
      case 1002:
      case 1003:
      case 1007:
      case 1008:
      case 1009:
        return this.#refuse('policy', reason);
      case 4029:
        return this.#retry(this.#toldDelay || maxBackoff);
      default: // 1001, 1006, 1011, 1012, 1013, 4008 and what may come
        return this.#retry(this.#toldDelay || undefined);
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
   * Waits and connects again: as long as the server said, else exponential backoff
   * with full jitter, so that clients of a restarted server do not come all at once.
   *
   * @param {number} [delay] in ms
   */
  #retry(delay) {
    const now = performance.now();
    if (this.#openedAt > 0 && now - this.#openedAt > steadyAfter) this.#attempt = 0;
    this.#openedAt = 0;
    this.#drop();
    this.reconnects++;
    this.#told = delay !== undefined;
    if (delay === undefined) {
      delay = Math.random() * Math.min(maxBackoff, firstBackoff * 2 ** this.#attempt);
      this.#attempt = Math.min(this.#attempt + 1, 10);
    }
    this.#retryTimer = setTimeout(() => this.#connect(), delay);
    // navigator.onLine may be wrong, so the timer runs on; coming online cuts it short.
    this.#set({ name: navigator.onLine ? 'waiting' : 'offline', retryAt: now + delay });
  }
}
