// The symbols that the application wants, those that the server has granted, and the commands between
// the two.

/**
 * @typedef {import('./message.js').Quote} Quote
 * @typedef {import('./message.js').Message} Message
 * @typedef {import('./positions.js').Positions} Positions
 *
 * @typedef {object} SubscribeOptions
 * @property {'latest'|'all'} [mode] latest, the default: the newest quote, and skipped counts the others.
 *   all: every tick, also over reconnects
 * @property {number} [maxRate] updates per second and symbol, in mode latest; 0 = every tick
 * @property {boolean} [day] day figures of the symbols too, as events day
 * @property {string} [candles] an interval, such as '1m': the callback gets its candles instead of quotes.
 *   mode, maxRate and day do not apply
 * @property {string[]} [channels] relayed channels
 * @property {(message: Message) => void} [onMessage] called with each message of the channels
 *
 * @typedef {number} Strength the settings of a name. Of several that apply, the highest serves all:
 *   mode all, else every tick, else the highest rate. It is negative with day figures. Channels and
 *   candles have none.
 */

const everyTick = 1e9;
export const all = 2e9;
const beside = 3e9; // channels and candles
const alone = 0; // to be asked for again, in a command that has no other name
const maxPending = 1000; // commands that a server leaves unanswered
const perCommand = 200; // names, so that a command stays well below the server's bound

/** What one call of subscribe asked for. */
export class Subscription {
  closed = false;
  #owner;

  /**
   * @param {Subscriptions} owner
   * @param {string[]} symbols as written
   * @param {SubscribeOptions} options
   * @param {(data: any) => void} callback
   */
  constructor(owner, symbols, options, callback) {
    this.#owner = owner;
    this.options = options;
    this.callback = callback;
    const { mode, maxRate, channels = [], candles, day } = options;
    const strength = candles ? beside : (mode === 'all' ? all : maxRate || everyTick) * (day ? -1 : 1);
    /** By name; that of a channel begins with #, and of candles with the interval and #. @type {Map<string, Strength>} */
    this.names = new Map([...symbols.map((name) => /** @type {const} */ ([candles ? `${candles}#${name}` : name, strength])), ...channels.map((name) => /** @type {const} */ ([`#${name}`, beside]))]);
  }

  /** Ends the subscription. The callback is not called again. */
  close() {
    if (this.closed) return;
    this.closed = true;
    this.#owner.remove(this);
  }
}

/**
 * Returns a name as the server takes it: in any form, or an alias. The server's answer has its symbol.
 *
 * @param {unknown} name
 */
function nameOf(name) {
  if (typeof name !== 'string' || !/^[^#]{1,64}$/.test(name)) throw new TypeError('symbols: want text');
  return name.trim();
}

/**
 * Returns what makes a name that of a channel or of candles.
 *
 * @param {string} name
 */
const prefixOf = (name) => name.slice(0, name.indexOf('#') + 1);

/**
 * Returns a name without its prefix.
 *
 * @param {string} name
 */
const bare = (name) => name.slice(name.indexOf('#') + 1);

/**
 * Returns the values of all names in a map that match a symbol.
 *
 * @param {Map<string, Strength>} names
 * @param {string} symbol
 * @param {string} [prefix] of the names
 */
function matching(names, symbol, prefix = '') {
  const [base, quote] = symbol.split('/');
  return [symbol, `${base}/*`, `*/${quote}`, '*'].flatMap((name) => names.get(prefix + name) ?? []);
}

/**
 * Reports whether the server may apply an entry instead of another, because it matches some of the
 * same symbols and is as exact.
 *
 * @param {string} name
 * @param {string} other
 */
function hides(name, other) {
  const [a, b] = [name, other].map((n) => (n === '*' ? '*/*' : n).split('/'));
  const stars = (/** @type {string[]} */ parts) => String(parts).split('*').length;
  return stars(a) <= stars(b) && a.every((part, i) => part === b[i] || (part + b[i]).includes('*'));
}

export class Subscriptions {
  /** @type {Set<Subscription>} */
  all = new Set();
  /** What the server was asked for on this connection. @type {Map<string, Strength>} */
  #asked = new Map();
  /** What it has granted. @type {Map<string, Strength>} */
  #granted = new Map();
  /** Commands that it has not answered, by id. @type {Map<number, { op: string, names: string[], strength: Strength }>} */
  #pending = new Map();
  /** Receivers by symbol, until something changes. @type {Map<string, Subscription[]>} */
  #receivers = new Map();
  #changed;

  /** @param {() => void} changed called when commands may be due */
  constructor(changed) {
    this.#changed = changed;
  }

  /**
   * @param {string|Iterable<string>} symbols
   * @param {SubscribeOptions} options
   * @param {(quote: Quote) => void} callback
   */
  add(symbols, options, callback) {
    const { mode = 'latest', maxRate = 0 } = options;
    const names = (typeof symbols === 'string' ? [symbols] : [...symbols]).map(nameOf);
    if (mode !== 'latest' && mode !== 'all') throw new TypeError('mode: want latest or all');
    if (!(maxRate >= 0 && maxRate < everyTick)) throw new TypeError('maxRate: want a number');
    if (typeof callback !== 'function') throw new TypeError('callback: want a function');
    const sub = new Subscription(this, names, options, callback);
    if (sub.names.size === 0) throw new TypeError('symbols: want text');
    this.all.add(sub);
    this.#receivers.clear();
    this.#changed();
    return sub;
  }

  /** @param {Subscription} sub */
  remove(sub) {
    this.all.delete(sub);
    this.#receivers.clear();
    this.#changed();
  }

  /**
   * The entries that serve all subscriptions. On the server the most exact entry of a symbol decides
   * alone, so each one is as strong as those that it hides.
   */
  wanted() {
    /** @type {Map<string, Strength>} */
    const wanted = new Map();
    const join = (/** @type {string} */ name, /** @type {Strength} */ strength) => {
      const other = wanted.get(name) ?? 0;
      wanted.set(name, Math.max(other, strength, -other, -strength) * (other < 0 || strength < 0 ? -1 : 1));
    };
    for (const sub of this.all) {
      for (const [name, strength] of sub.names) join(name, strength);
    }
    for (const [other, strength] of [...wanted].filter(([name]) => name.includes('*') && !prefixOf(name))) {
      for (const name of wanted.keys()) {
        if (!prefixOf(name) && hides(name, other)) join(name, strength);
      }
    }
    return wanted;
  }

  /**
   * Forgets the positions of symbols that are no longer wanted, so that a later
   * subscription reports no gap.
   *
   * @param {Positions} positions
   */
  forget(positions) {
    const wanted = this.wanted();
    positions.keep((symbol) => matching(wanted, symbol).length > 0);
  }

  /** Begins a connection, on which nothing is asked for. */
  connected() {
    this.#asked.clear();
    this.#granted.clear();
    this.#pending.clear();
  }

  /**
   * Returns the next command that is due, or undefined.
   *
   * @param {number} id of the command
   * @param {Positions} positions
   * @param {{ left: number }} resumable how many positions the server still takes
   */
  next(id, positions, resumable) {
    const wanted = this.wanted();
    let op = 'unsubscribe';
    let due = [...this.#asked].filter(([name, s]) => s !== alone && !wanted.has(name));
    if (due.length === 0) {
      op = 'subscribe';
      due = [...wanted].filter(([name, strength]) => this.#asked.get(name) !== strength);
    }
    const first = due[0];
    if (!first || this.#pending.size >= maxPending) return undefined;
    const strength = first[1];
    const group = (/** @type {[string, Strength]} */ [name, s]) => (this.#asked.get(name) === alone ? name : prefixOf(name) + s);
    const prefix = prefixOf(first[0]);
    const names = due.filter((entry) => group(entry) === group(first)).slice(0, perCommand).map(([name]) => name);
    const symbols = names.map(bare);
    for (const name of names) {
      if (op === 'subscribe') this.#asked.set(name, strength);
      else this.#asked.delete(name) && this.#granted.delete(name);
    }
    this.#pending.set(id, { op, names, strength });
    if (prefix === '#') return { op, id, channels: symbols };
    if (prefix) return { op, id, symbols, candles: prefix.slice(0, -1) };
    if (op === 'unsubscribe') {
      this.forget(positions);
      return { op, id, symbols };
    }
    const command = { op, id, symbols, day: strength < 0 || undefined };
    if (Math.abs(strength) !== all) return { ...command, mode: 'latest', max_rate: Math.abs(strength) % everyTick };
    const since = this.#since(names, positions, resumable);
    return { ...command, mode: 'all', ...(Object.keys(since).length && { since }) };
  }

  /**
   * @param {string[]} names
   * @param {Positions} positions
   * @param {{ left: number }} resumable
   */
  #since(names, positions, resumable) {
    /** @type {Record<string, { epoch: string, seq: number }>} */
    const since = {};
    const of = new Map(names.map((name) => [name, all]));
    for (const { last: { symbol, epoch, seq } } of positions.entries()) {
      if (!epoch || !matching(of, symbol).length || resumable.left-- <= 0) continue;
      since[symbol] = { epoch, seq };
    }
    return since;
  }

  /**
   * Takes the answer to a command in, and returns the names that were refused.
   *
   * @param {Message} m an ack or an error
   * @param {boolean} stream whose ack answers its address
   * @returns {import('./commands.js').Failure[]}
   */
  answer(m, stream) {
    const command = this.#pending.get(m.id);
    this.#pending.delete(m.id);
    if (m.type === 'error') {
      if (m.code !== 'rate_limited' || !command) return [/** @type {any} */ (m)];
      for (const name of command.names) { // so that it is sent again
        if (command.op === 'subscribe') this.#asked.delete(name);
        else this.#asked.set(name, command.strength);
      }
      return [];
    }
    /** @type {import('./commands.js').Failure[]} */
    const failed = m.failed ?? [];
    for (const f of failed) f.symbol ??= /** @type {any} */ (f).channel;
    const names = stream ? [...this.wanted().keys()].filter((name) => !prefixOf(name)) : command?.op === 'subscribe' && command.names[0][0] !== '#' ? command.names : [];
    const ok = m.ok ?? [];
    const sure = ok.length === names.length; // one for each, in order: none was refused, and no two are one symbol
    const again = !sure && !stream && names.length > 1;
    names.forEach((name, i) => {
      const symbol = bare(name);
      if (failed.some((f) => f.symbol === symbol) || [...this.#pending].some(([id, later]) => id > m.id && later.names.includes(name))) return;
      let own = name;
      if (!ok.includes(symbol)) {
        if (again) this.#asked.set(name, alone);
        if (!sure) return;
        own = prefixOf(name) + ok[i];
        const strength = this.#asked.get(name);
        if (strength && this.#asked.delete(name)) this.#asked.set(own, strength);
        for (const sub of this.all) {
          const strength = sub.names.get(name);
          if (!strength) continue;
          sub.names.delete(name);
          sub.names.set(own, strength);
        }
      }
      this.#granted.set(own, command?.strength ?? (m.mode === 'all' ? all : everyTick));
    });
    this.#receivers.clear();
    return again ? failed.filter((f) => names.map(bare).includes(/** @type {string} */ (f.symbol))) : failed;
  }

  /**
   * Returns the query of an event stream's address, and the positions to resume from. A
   * stream has one mode for all symbols.
   *
   * @param {Positions} positions
   */
  stream(positions) {
    const wanted = [...this.wanted()].filter(([name]) => !prefixOf(name));
    const names = wanted.map(([name]) => name);
    const strength = Math.max(...wanted.map(([, s]) => Math.abs(s)));
    const query = new URLSearchParams({ symbols: names.join(), ...(strength === all ? { mode: 'all' } : strength < everyTick && { max_rate: /** @type {any} */ (strength) }) });
    const resumes = strength === all && names.length <= 50 && !names.some((name) => name.includes('*'));
    const since = resumes ? this.#since(names, positions, { left: 50 }) : {};
    return { query: String(query), position: Object.entries(since).map(([symbol, at]) => `${symbol}:${at.epoch}:${at.seq}`).join() };
  }

  /**
   * Returns the settings that the server applies to a symbol; undefined if it is not granted.
   *
   * @param {string} symbol
   * @returns {Strength|undefined}
   */
  strengthOf(symbol) {
    const found = matching(this.#granted, symbol);
    return found.length ? Math.max(...found.map(Math.abs)) : undefined;
  }

  /**
   * Returns the subscriptions that a symbol is for.
   *
   * @param {string} symbol
   * @param {string} [prefix] of the names
   */
  receivers(symbol, prefix = '') {
    let subs = this.#receivers.get(prefix + symbol);
    if (!subs) {
      subs = [...this.all].filter((sub) => matching(sub.names, symbol, prefix).length);
      this.#receivers.set(prefix + symbol, subs);
    }
    return subs;
  }
}
