// The client: one connection at a time, for as long as the application wants it.
//
//   connecting ─ welcome ─▶ live ⇄ degraded ─ end ─▶ waiting ─▶ connecting …
//
// Every state may lead to closed, by close() or because the server has refused the client for good.

import { baseOf, checkToken, ticketFor } from './address.js';
import { Backoff } from './backoff.js';
import { binaryProtocol, Decoder } from './binary.js';
import { Clock } from './clock.js';
import { Commands } from './commands.js';
import { watchPage } from './life.js';
import { bad, parse } from './message.js';
import { Positions } from './positions.js';
import { openSocket, takesHeaders } from './socket.js';
import { openStream } from './stream.js';
import { all, Subscriptions } from './subscriptions.js';

/**
 * @typedef {import('./message.js').Message} Message
 * @typedef {import('./message.js').Quote} Quote
 * @typedef {import('./message.js').Candle} Candle
 * @typedef {import('./message.js').Day} Day
 * @typedef {import('./positions.js').Gap} Gap
 * @typedef {import('./subscriptions.js').SubscribeOptions} SubscribeOptions
 *
 * @typedef {object} Options
 * @property {string|URL} [url] the server: wss://host/ws or https://host/; a page may leave it out
 * @property {string} [token] of a session. Where a WebSocket takes no headers, tickets are fetched with it
 * @property {() => Promise<string>} [ticket] called for a new ticket before each connect
 * @property {() => Promise<unknown>} [signIn] for sessions in a cookie: called before each connect until
 *   the next welcome. It may throw an Error with a status and retryAfterMs
 * @property {any} [WebSocket] the class, for Node before 22: that of the package ws
 * @property {{ everyMs: number, align?: boolean }} [pace] quotes come at most once per interval
 * @property {boolean} [binary] false: prices come as JSON, also where the server has them shorter
 * @property {'auto'|'websocket'|'stream'} [transport] auto: the event stream where no WebSocket is let through
 * @property {number} [clockScale] for tests: the part of a second that a second takes
 *
 * @typedef {'connecting'|'live'|'degraded'|'waiting'|'closed'} State
 *
 * @typedef {object} Fault
 * @property {'refused'|'protocol'|'command'|'connection'} kind
 *   refused: for good; the state closed follows. protocol: the server broke the protocol.
 *   command: the server refused a command or a symbol. connection: lost, or not made; the client connects again
 * @property {number|string} [code] HTTP status, close code or error code
 * @property {string} [symbol]
 * @property {string} message
 *
 * @typedef {object} StateDetail
 * @property {State} state
 * @property {number} [retryAt] waiting: when the next connect begins, by performance.now()
 * @property {Fault} [reason] of waiting and closed
 *
 * @typedef {{ symbol: string, status: string, since?: string, source?: string }} StatusDetail
 *
 * @typedef {{ state: CustomEvent<StateDetail>, gap: CustomEvent<Gap>, status: CustomEvent<StatusDetail>,
 *   day: CustomEvent<Day>, error: CustomEvent<Fault>, message: CustomEvent<Message> }} Events
 */

const openTimeout = 10_000;
/** Close codes after which a client must not come back. */
const final = /** @type {any[]} */ ([1002, 1003, 1007, 1008, 1009, 4001]);
/** Answers to an upgrade that come from the server. Any other may come from something on the way to it. */
const answers = /** @type {any[]} */ ([401, 403, 429, 503]);
/** How long the event stream is used before a WebSocket is tried again. */
const streamFor = 600_000;

export class Client extends EventTarget {
  /** @type {State} */
  state = 'connecting';
  /** The last welcome of the server, with the session and the limits. @type {Message|undefined} */
  welcome;

  #options;
  #base;
  #Socket;
  #clock;
  #backoff = new Backoff();
  #positions = new Positions();
  #subscriptions;
  #commands;
  /** @type {import('./socket.js').Line|undefined} */
  #line;
  #ending = Promise.resolve(); // of the last connection
  #turn = new AbortController(); // aborted when the attempt or connection that it belongs to is over
  #cancel = [() => {}, () => {}]; // timers: the next connect or the welcome's deadline; silence
  #welcomed = false;
  #over = false; // close() was called
  #viaStream = false; // the current attempt
  #ticketed = false; // it has a ticket
  #idle = false; // a stream waits for the first subscription
  #advised = false; // the server chose the length of the current wait
  #signedIn = false;
  #heard = 0; // messages since the last check of silence
  /** @type {Message|undefined} */
  #closing;
  #unticketed = 0; // tickets in a row that the upgrade refused
  #stopped = 0; // connects in a row that no WebSocket came through
  #streamUntil = -Infinity;
  #streamed = '';
  /** @type {{ everyMs: number, align?: boolean }|undefined} */
  #pace;
  #unwatch;
  #decoder = new Decoder();

  /** @param {Options} [options] */
  constructor(options = {}) {
    super();
    const { url, token, ticket } = options;
    checkToken(token);
    if (ticket && typeof ticket !== 'function') throw new TypeError('ticket: want a function');
    this.#base = baseOf(url);
    this.#Socket = options.WebSocket ?? globalThis.WebSocket;
    if (!this.#Socket && options.transport !== 'stream') {
      throw new TypeError('WebSocket: want that of ws');
    }
    this.#options = options;
    this.#pace = options.pace;
    this.#clock = new Clock(options.clockScale);
    this.#subscriptions = new Subscriptions(() => this.#changed());
    this.#commands = new Commands(this.#clock, this.#subscriptions, this.#positions, (command) => this.send(command));
    this.#unwatch = watchPage({ wake: () => this.#wake(), suspend: () => this.#suspend(), resume: () => this.retry() });
    queueMicrotask(() => {
      if (this.state === 'connecting') this.#connect();
    });
  }

  /**
   * Calls back with the candles of an interval, the running ones and those that have closed.
   *
   * @overload
   * @param {string|Iterable<string>} symbols
   * @param {SubscribeOptions & { candles: string }} options
   * @param {(candle: Candle) => void} callback
   * @returns {import('./subscriptions.js').Subscription}
   */
  /**
   * Calls back with the quotes of symbols (EUR/USD) and wildcards (*, EUR/*, *\/JPY), beginning with
   * the last known ones.
   *
   * @overload
   * @param {string|Iterable<string>} symbols
   * @param {SubscribeOptions|((quote: Quote) => void)} options
   * @param {(quote: Quote) => void} [callback]
   * @returns {import('./subscriptions.js').Subscription}
   */
  /**
   * @param {string|Iterable<string>} symbols
   * @param {SubscribeOptions|((data: any) => void)} options
   * @param {(data: any) => void} [callback]
   */
  subscribe(symbols, options, callback) {
    if (typeof options === 'function') [options, callback] = [{}, options];
    const sub = this.#subscriptions.add(symbols, options ?? {}, /** @type {any} */ (callback));
    queueMicrotask(() => {
      for (const { last, seen } of this.#positions.entries()) {
        if (seen && this.#subscriptions.receivers(last.symbol).includes(sub)) this.#call(() => sub.closed || sub.callback(last));
      }
    });
    return sub;
  }

  /**
   * Has quotes come at most once per interval; 0 = as they come.
   *
   * @param {number} everyMs
   * @param {{ align?: boolean }} [options] align: to multiples of the interval, so that all clients see the same
   */
  pace(everyMs, { align = false } = {}) {
    this.#pace = { everyMs, align };
    this.#sendPace();
  }

  /**
   * Sends a command of the protocol for which there is no method here, such as {op: 'ping'}. Its answer
   * comes as an event message. It returns whether there is a connection to send it on.
   *
   * @param {object} command
   */
  send(command) {
    return this.#welcomed && this.#line?.send(JSON.stringify(command)) === true;
  }

  /** Connects now, if the client waits or was refused. It does nothing after close(). */
  retry() {
    if (this.state === 'waiting' || this.state === 'closed' && !this.#over) this.#plan(this.#backoff.blocked(this.#clock.now()));
  }

  /** Ends the connection and all subscriptions, for good. */
  close() {
    this.#over = true;
    this.#drop();
    this.#unwatch();
    for (const sub of this.#subscriptions.all) sub.close();
    if (this.state !== 'closed') this.#set({ state: 'closed' });
  }

  /** @param {StateDetail} detail */
  #set(detail) {
    this.state = detail.state;
    this.#emit('state', detail);
  }

  /**
   * @param {keyof Events} type
   * @param {object} detail
   */
  #emit(type, detail) {
    if (!this.#over || type === 'state') this.dispatchEvent(new CustomEvent(type, { detail })); // closed is the last
  }

  /**
   * Calls the application. What it throws is reported as an uncaught error and does no harm here.
   *
   * @param {() => void} f
   */
  #call(f) {
    try {
      f();
    } catch (e) {
      queueMicrotask(() => {
        throw e;
      });
    }
  }

  /**
   * Ends the current connection or attempt, if any. Nothing more comes from it.
   *
   * @param {boolean} [dead] the server may be gone, so that it is not waited for
   */
  #drop(dead) {
    this.#cancel.forEach((cancel) => cancel());
    this.#turn.abort();
    this.#commands.stop();
    this.#positions.disconnect();
    if (this.#line) this.#ending = this.#line.close(dead);
    this.#line = this.#closing = undefined;
    this.#welcomed = this.#idle = false;
  }

  /**
   * Connects so many ms after the last connection has ended: there are never two at once.
   *
   * @param {number} ms
   */
  #plan(ms) {
    this.#cancel[0]?.();
    const plan = new AbortController();
    this.#cancel[0] = () => plan.abort();
    this.#ending.then(() => {
      if (!plan.signal.aborted) this.#cancel[0] = this.#clock.after(ms, () => this.#connect());
    });
  }

  async #connect() {
    this.#drop();
    const turn = new AbortController();
    this.#turn = turn;
    const wait = this.#backoff.blocked(this.#clock.now());
    if (wait > 0) return this.#plan(wait);
    this.#viaStream = this.#streams();
    this.#ticketed = false;
    this.#idle = this.#viaStream && this.#subscriptions.all.size === 0;
    if (this.#idle) return;
    this.#backoff.count(this.#clock.now());
    this.#set({ state: 'connecting' });
    if (turn.signal.aborted) return; // closed by a listener
    this.#cancel[0] = this.#clock.after(openTimeout, () => {
      this.#end({ message: 'no welcome' }, true);
    });
    try {
      const ticket = await this.#admission(turn.signal);
      if (!turn.signal.aborted) this.#open(ticket);
    } catch (e) {
      if (turn.signal.aborted) return;
      this.#end(e instanceof Object ? e : { message: String(e) });
    }
  }

  /**
   * Signs in or gets a ticket before a connection. It returns the ticket, if the connection needs one.
   *
   * @param {AbortSignal} signal
   */
  async #admission(signal) {
    const { token, ticket, signIn } = this.#options;
    if (signIn && !this.#signedIn) await signIn();
    const got = ticket ? await ticket() : token !== undefined && !this.#viaStream && !takesHeaders(this.#Socket) ? await ticketFor(this.#base, token, signal) : undefined;
    if (got !== undefined && !got?.length) bad('ticket: want text');
    this.#ticketed = got !== undefined;
    return got;
  }

  /** Reports whether the next connection is an event stream. */
  #streams() {
    const { transport = 'auto' } = this.#options;
    if (transport !== 'auto') return transport === 'stream';
    return this.#subscriptions.all.size > 0 && (this.#clock.now() < this.#streamUntil || this.#stopped >= 2 && this.#stopped % 2 === 0);
  }

  /** @param {string|undefined} ticket */
  #open(ticket) {
    const turn = this.#turn;
    const on = {
      message: (/** @type {any} */ data) => turn.signal.aborted || this.#read(data),
      end: (/** @type {import('./socket.js').Ended} */ end) => turn.signal.aborted || this.#end(end),
    };
    const { token } = this.#options;
    if (this.#viaStream) {
      const { query, position } = this.#subscriptions.stream(this.#positions);
      const url = new URL(`api/v1/stream?${query}`, this.#base);
      if (ticket !== undefined) url.searchParams.set('ticket', ticket);
      if (this.#pace?.everyMs) url.searchParams.set('pace_ms', /** @type {any} */ (this.#pace.everyMs));
      this.#streamed = query;
      this.#line = openStream(url, token, position, on);
      return;
    }
    const url = new URL('ws', this.#base);
    url.protocol = url.protocol.replace('http', 'ws');
    if (ticket !== undefined) url.searchParams.set('ticket', ticket);
    this.#decoder = new Decoder();
    this.#line = openSocket(this.#Socket, url, this.#options.binary === false ? ['fx.v1'] : [binaryProtocol, 'fx.v1'], ticket === undefined ? token : undefined, this.#clock, on);
  }

  /**
   * Takes a frame in.
   *
   * @param {unknown} data
   */
  #read(data) {
    this.#heard++;
    try {
      this.#receive(parse(data, this.#line?.protocol === binaryProtocol && ((bytes) => this.#decoder.decode(bytes))));
    } catch (e) {
      this.#end({ message: /** @type {Error} */ (e).message, fault: true });
    }
  }

  /** @param {Message} m */
  #receive(m) {
    if (m.type === 'welcome') return this.#greet(m);
    if (m.type === 'closing') this.#closing = m;
    else if (!this.#welcomed && m.type !== 'error') return;
    switch (m.type) {
      case 'snapshot':
      case 'update':
        return m.data.forEach((/** @type {Quote} */ quote) => this.#quote(quote, m));
      case 'session':
        if (this.welcome) this.welcome.session = m.session;
        break;
      case 'ack':
      case 'error':
        for (const fault of this.#commands.answer(m)) this.#emit('error', { message: fault.code, ...fault, kind: 'command' });
        break;
      case 'resumed':
        this.#positions.resumed(m.symbol);
        break;
      case 'status':
        return this.#status(m);
      case 'candle':
        for (const sub of this.#subscriptions.receivers(m.symbol, `${m.interval}#`)) this.#call(() => sub.closed || sub.callback({ symbol: m.symbol, interval: m.interval, ...m.data }));
        return;
      case 'day':
        return this.#emit('day', m);
      case 'message':
        for (const { options } of this.#subscriptions.all) {
          if (options.channels?.includes(m.channel)) this.#call(() => options.onMessage?.(m));
        }
    }
    if (m.type !== 'heartbeat') this.#emit('message', m);
  }

  /** @param {Message} m */
  #greet(m) {
    if (this.#welcomed) bad('a second welcome');
    this.#welcomed = this.#signedIn = true;
    this.#cancel[0]?.();
    this.#backoff.reset();
    this.#unticketed = 0;
    if (this.#viaStream && this.#stopped > 1) this.#streamUntil = this.#clock.now() + streamFor;
    this.#stopped = this.#viaStream ? 1 : 0;
    this.welcome = m;
    this.#listen(Math.min(Math.max(m.heartbeat_ms || 1000, 20), 60_000));
    this.#set({ state: 'live' });
    this.#commands.start(m, this.#line?.stream === true);
    this.#sendPace();
    this.#changed();
  }

  /**
   * Ends the connection after three heartbeats without a message. A timer that is late, in a hidden
   * tab or after sleep, counts once only, so that messages which wait are read first.
   *
   * @param {number} heartbeat ms
   */
  #listen(heartbeat) {
    let silent = 0;
    const check = () => {
      silent = this.#heard ? 0 : silent + 1;
      this.#heard = 0;
      if (silent >= 6) return this.#end({ message: 'the server is silent' }, true);
      this.#cancel[1] = this.#clock.after(heartbeat / 2, check);
    };
    check();
  }

  /**
   * @param {Quote} quote
   * @param {Message} m
   */
  #quote(quote, m) {
    const strength = this.#subscriptions.strengthOf(quote.symbol);
    if (strength === undefined) return; // it was in flight when the subscription ended
    const { fresh, gap, last } = this.#positions.take(quote, { all: strength === all, snapshot: m.type === 'snapshot', reset: m.reset === true });
    if (!fresh) {
      const { symbol } = quote;
      const status = quote.status ?? 'live';
      if (last.seq === quote.seq && status !== (last.status ?? 'live')) this.#status({ type: 'status', symbol, status });
      return;
    }
    if (gap) {
      this.#emit('gap', gap);
    }
    for (const sub of this.#subscriptions.receivers(quote.symbol)) this.#call(() => sub.closed || sub.callback(quote));
  }

  /** @param {Message} m */
  #status(m) {
    const { symbol, status } = m;
    if (symbol == null) {
      const state = status === 'degraded' ? 'degraded' : 'live';
      if (state !== this.state) this.#set({ state });
      return;
    }
    const entry = this.#positions.get(symbol);
    if (entry) {
      entry.last = { ...entry.last, status };
      if (status === 'live') delete entry.last.status;
    }
    if (this.#subscriptions.strengthOf(symbol) !== undefined) this.#emit('status', m);
  }

  /** Sends commands that are due, or opens the stream again if other symbols are wanted. */
  #changed() {
    if (this.#idle) this.#plan(0);
    if (!this.#welcomed) return this.#subscriptions.forget(this.#positions);
    this.#commands.due();
    if (!this.#line?.stream) return;
    queueMicrotask(() => {
      if (!this.#line?.stream || this.#subscriptions.all.size === 0 || this.#subscriptions.stream(this.#positions).query === this.#streamed) return;
      this.#drop();
      this.#set({ state: 'waiting', retryAt: performance.now() });
      this.#plan(this.#backoff.blocked(this.#clock.now()));
    });
  }

  #sendPace() {
    if (this.#pace) this.send({ op: 'pace', every_ms: this.#pace.everyMs, align: this.#pace.align });
  }

  /**
   * The connection or the attempt has ended: connects again when and if that is allowed.
   *
   * @param {import('./socket.js').Ended} end
   * @param {boolean} [dead]
   */
  #end(end, dead) {
    const { fault, status } = end;
    const welcomed = this.#welcomed;
    const opened = this.#line !== undefined;
    const closing = fault ? undefined : this.#closing;
    const code = fault ? undefined : end.code && end.code !== 1006 && end.code !== 1005 ? end.code : closing?.code;
    this.#drop(dead);
    const advice = Number(end.retryAfterMs ?? closing?.reconnect_after_ms) || 0;
    /** @type {Fault} */
    const reason = { kind: fault ? 'protocol' : 'connection', code: status ?? code, message: end.message || closing?.reason || 'connection lost' };
    const expired = status === 401 && this.#ticketed && ++this.#unticketed < 2; // a new ticket may do
    if (opened && !welcomed && !fault && (this.#viaStream ? this.#stopped > 0 : !answers.includes(status))) this.#stopped++;
    this.#signedIn = welcomed && code !== 4001;
    if (!expired && (status === 401 || status === 403) || final.includes(code) || code === 4009 && !advice) {
      reason.kind = 'refused';
      this.#emit('error', reason);
      if (this.state !== 'closed') this.#set({ state: 'closed', reason });
      return;
    }
    this.#advised = advice > 0;
    const delay = this.#backoff.delay(this.#clock.now(), advice);
    this.#plan(delay);
    this.#emit('error', reason);
    if (this.state !== 'closed') this.#set({ state: 'waiting', retryAt: performance.now() + delay, reason });
  }

  /** Cuts a wait short when the browser is online or visible again, but not one that the server asked for. */
  #wake() {
    if (this.state === 'waiting' && !this.#advised) this.retry();
  }

  /** Ends the connection while the browser keeps the page aside. */
  #suspend() {
    if (this.state === 'closed') return;
    this.#drop();
    this.#advised = false;
    this.#set({ state: 'waiting' });
  }
}
