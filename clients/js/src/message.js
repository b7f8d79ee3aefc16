// The messages of a server, which are checked before use: a server may send anything.

/**
 * @typedef {object} Quote one price; the prices are decimal text with the producer's own digits
 * @property {string} symbol
 * @property {string} bid
 * @property {string} ask
 * @property {string} ts RFC 3339, UTC, microseconds
 * @property {number} seq counts the accepted ticks of the symbol
 * @property {string} [epoch] changes when the count begins again; set in every quote from the first on
 * @property {number} [skipped] ticks conflated into this one, in mode latest
 * @property {string} [bid_size]
 * @property {string} [ask_size]
 * @property {boolean} [gap] the price jumped, and the jump was confirmed
 * @property {Status} [status] when not live
 *
 * @typedef {object} Candle the prices of an interval; those of bid and ask are open, high, low and close
 * @property {string} symbol
 * @property {string} interval
 * @property {string} t when the interval began: RFC 3339, UTC
 * @property {[string, string, string, string]} bid
 * @property {[string, string, string, string]} ask
 * @property {number} ticks how many quotes
 * @property {boolean} complete false: some quotes may be missing in it
 * @property {boolean} [open] the interval has not ended
 *
 * @typedef {object} Day figures of the bid in the trading day
 * @property {string} symbol
 * @property {string} since RFC 3339, UTC
 * @property {string} open
 * @property {string} high
 * @property {string} low
 * @property {string|null} previous_close null if it is not known
 *
 * @typedef {'live'|'stale'|'closed'|'unknown'} Status
 *
 * @typedef {Record<string, any> & { type: string }} Message
 */

/** The longest message that is read, in bytes. The server's are far shorter. */
export const maxMessage = 1 << 20;

/** @typedef {(v: any) => boolean} Check */
/** @type {Check} */
const text = (v) => typeof v === 'string' && v.length <= 1024;
/** @type {Check} */
const count = (v) => Number.isSafeInteger(v) && v >= 0;
/** @type {Check} */
const price = (v) => text(v) && v.length <= 80 && /^\d+(\.\d+)?$/.test(v);
/** @type {Check} */
const object = (v) => typeof v === 'object' && v !== null && !Array.isArray(v);
/** @type {Check} */
const list = Array.isArray;
/** @type {(check: Check) => Check} */
const each = (check) => (v) => list(v) && v.every(check);
/** @type {(check: Check) => Check} */
const maybe = (check) => (v) => v === undefined || check(v);
/** @type {Check} */
const flag = (v) => typeof v === 'boolean';

/** The fields of a quote. @type {Record<string, Check>} */
const quoteFields = {
  symbol: (v) => text(v) && v.length <= 64, bid: price, ask: price, ts: text, seq: (v) => count(v) && v > 0,
  skipped: maybe(count), epoch: maybe(text), bid_size: maybe(price), ask_size: maybe(price), status: maybe(text), gap: maybe(flag),
};

/** The fields of each known message that this client reads. @type {Record<string, Record<string, Check>>} */
const messageFields = {
  // @ts-expect-error without a prototype, so that a type such as "constructor" is unknown
  __proto__: null,
  welcome: { heartbeat_ms: maybe(count), limits: maybe(object), session: maybe(object), server_time: maybe(text) },
  session: { session: object },
  ack: { ok: maybe(each(text)), failed: maybe(each(object)), mode: maybe(text) },
  snapshot: { data: list, reset: maybe(flag) },
  update: { data: list },
  status: { status: text, symbol: maybe(text) },
  resumed: { symbol: text },
  candle: { symbol: text, interval: text, data: (v) => object(v) && [v.bid, v.ask].every(each(price)) },
  day: { symbol: text, open: price, high: price, low: price },
  message: { channel: text },
  error: { code: text, message: maybe(text), retry_after_ms: maybe(count) },
  closing: { code: count, reason: maybe(text), reconnect_after_ms: maybe(count) },
};

/**
 * @param {string} what
 * @param {any} value
 * @param {Record<string, Check>} fields
 */
function check(what, value, fields) {
  for (const [name, right] of Object.entries(fields)) {
    if (!right(value[name])) throw new Error(`${what}: ${name} is ${excerpt(value[name])}`);
  }
}

/** @param {Message} m */
const isPrices = (m) => m.type === 'snapshot' || m.type === 'update';

/**
 * Throws an Error that names the fault of a message, if it has one. Unknown types and fields
 * are right.
 *
 * @param {any} m
 * @returns {Message}
 */
function checked(m) {
  check('message', m ?? {}, { type: text });
  check(m.type, m, messageFields[m.type] ?? {});
  if (isPrices(m)) m.data.forEach((/** @type {any} */ quote) => check('quote', quote ?? {}, quoteFields));
  return m;
}

/**
 * Returns the message in a frame, or throws an Error that names the fault.
 *
 * @param {any} data text, or an ArrayBuffer
 * @param {false|((data: ArrayBuffer) => object)} decode reads binary messages, if they were agreed
 */
export function parse(data, decode) {
  const length = data.byteLength ?? data.length;
  if (length > maxMessage) throw new Error(`a message of ${length} bytes`);
  if (typeof data !== 'string') {
    if (!decode) throw new Error('a binary message');
    return checked(decode(data));
  }
  let m;
  try {
    m = JSON.parse(data);
  } catch {
    throw new Error(`a message that is not JSON: ${excerpt(data)}`);
  }
  return checked(m);
}

/** @param {unknown} value */
function excerpt(value) {
  return String(JSON.stringify(value)).slice(0, 60);
}
