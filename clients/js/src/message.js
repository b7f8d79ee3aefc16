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
const short = (v) => text(v) && v.length <= 64;
/** @type {Check} */
const name = (v) => short(v) && v;
/** @type {Check} */
const count = (v) => Number.isSafeInteger(v) && v >= 0;
/** @type {Check} */
const positive = (v) => count(v) && v > 0;
/** @type {Check} */
const price = (v) => short(v) && /^\d+(\.\d+)?$/.test(v);
/** @type {Check} */
const time = (v) => short(v) && /^\d{4}-\d\d-\d\dT/.test(v) && Date.parse(v) > 0;
/** @type {Check} */
const list = Array.isArray;
/** @type {Check} */
const object = (v) => v instanceof Object && !list(v);
/** @type {(check: Check) => Check} */
const each = (check) => (v) => list(v) && v.every(check);
/** The field may be absent or null. @type {(check: Check) => Check} */
const maybe = (check) => (v) => v == null || check(v);
/** @type {Check} */
const flag = maybe((v) => typeof v === 'boolean');
/**
 * Returns a check of an object's fields, which throws an Error that names the wrong one.
 *
 * @type {(what: string, checks: Record<string, Check>) => Check}
 */
const fields = (what, checks) => (v) => object(v) && Object.keys(checks).every((name) => checks[name](v[name]) || bad(`${what}: ${name} is ${excerpt(v[name])}`));
/** Open, high, low and close. @type {Check} */
const ohlc = (v) => each(price)(v) && v.length === 4;

const quotes = each(fields('quote', {
  symbol: name, bid: price, ask: price, ts: time, seq: positive,
  skipped: maybe(count), epoch: maybe(short), bid_size: maybe(price), ask_size: maybe(price), status: maybe(short), gap: flag,
}));

/** The fields of each known message that this client reads. @type {Record<string, Record<string, Check>>} */
const messageFields = {
  // @ts-expect-error without a prototype, so that a type such as "constructor" is unknown
  __proto__: null,
  welcome: { heartbeat_ms: maybe(count), limits: maybe(object), session: maybe(object) },
  session: { session: object },
  ack: { ok: maybe(each(text)), failed: maybe(each(object)), mode: maybe(text) },
  snapshot: { data: quotes, reset: flag },
  update: { data: quotes },
  status: { status: short, symbol: maybe(name), since: maybe(time) },
  resumed: { symbol: name },
  candle: { symbol: name, interval: name, data: fields('candle', { t: time, bid: ohlc, ask: ohlc, ticks: positive, complete: flag, open: flag }) },
  day: { symbol: name, since: time, open: price, high: price, low: price, previous_close: maybe(price) },
  message: { channel: text },
  error: { code: text, message: maybe(text), retry_after_ms: maybe(count) },
  closing: { code: positive, reason: maybe(text), reconnect_after_ms: maybe(count) },
};

/**
 * Throws an Error that names the fault of a message, if it has one. Unknown types and fields
 * are right.
 *
 * @param {any} m
 * @returns {Message}
 */
function checked(m) {
  if (!fields('message', { type: text })(m)) bad(`message: ${excerpt(m)}`);
  fields(m.type, messageFields[m.type] ?? {})(m);
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
  if (length > maxMessage) bad(`a message of ${length} bytes`);
  if (typeof data !== 'string') return checked(decode ? decode(data) : bad('a binary message'));
  let m;
  try {
    m = JSON.parse(data);
  } catch {
    bad(`a message that is not JSON: ${excerpt(data)}`);
  }
  return checked(m);
}

/**
 * Throws an Error: the server broke the protocol.
 *
 * @param {string} fault
 * @returns {never}
 */
export function bad(fault) {
  throw new Error(fault);
}

/** @param {unknown} value */
function excerpt(value) {
  return String(JSON.stringify(value)).slice(0, 60);
}
