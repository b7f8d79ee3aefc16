// Decodes the binary messages of the subprotocol fx.v1.pb into the objects that JSON.parse makes of
// the same messages in fx.v1. /fx.proto has the rules. The module imports nothing.
//
// Prices become text without a float on the way: every integer is below 10^15, so a number holds
// it exactly, and longer prices are sent as text.

export const binaryProtocol = 'fx.v1.pb';

const utf8 = new TextDecoder();
const limit = 1e15;

/** @returns {never} */
function bad() {
  throw new Error('bad message of fx.v1.pb');
}

/**
 * Reads a base-128 varint.
 *
 * @param {{ bytes: Uint8Array, at: number }} r
 */
function varint(r) {
  for (let value = 0, scale = 1; ; scale *= 128) {
    const b = r.bytes[r.at++] ?? bad();
    value += (b & 127) * scale;
    if (b < 128) return value;
    if (scale > 2 ** 56) bad();
  }
}

/** @param {number} n */
const unzigzag = (n) => (n % 2 ? -(n + 1) / 2 : n / 2);

/**
 * Calls `on` with each field of a Protobuf message: its number, and its value or bytes.
 *
 * @param {Uint8Array} bytes
 * @param {(field: number, value: any) => void} on
 */
function fields(bytes, on) {
  const r = { bytes, at: 0 };
  while (r.at < bytes.length) {
    const tag = varint(r);
    const wire = tag % 8;
    let value;
    if (wire === 0) {
      value = varint(r);
    } else {
      const length = wire === 2 ? varint(r) : wire === 1 ? 8 : wire === 5 ? 4 : bad();
      value = bytes.subarray(r.at, (r.at += length));
      if (r.at > bytes.length) bad();
    }
    on((tag - wire) / 8, value);
  }
}

/**
 * @param {number} n an integer
 * @param {number} digits its decimals
 * @param {number} cut how many zeros at the end are left out
 */
function decimal(n, digits, cut) {
  const text = String(n).padStart(digits + 1, '0');
  const point = text.length - digits;
  const fraction = text.slice(point, text.length - Math.max(cut, 0));
  return text.slice(0, point) + (fraction && '.' + fraction);
}

/** @param {number} micros since 1970 */
function time(micros) {
  const rest = micros % 1000;
  return new Date((micros - rest) / 1000).toISOString().slice(0, -1) + String(rest).padStart(3, '0') + 'Z';
}

/** Decodes the messages of one connection. After an error the connection must be closed. */
export class Decoder {
  /** By number: the name, and of the last quote the values of /fx.proto. @type {Map<number, { name: string, n?: number[] }>} */
  #symbols = new Map();

  /**
   * Returns a snapshot or an update.
   *
   * @param {ArrayBuffer} message
   */
  decode(message) {
    const bytes = new Uint8Array(message);
    /** @type {any} */
    const m = { type: 'update' };
    /** @type {Uint8Array[]} */
    const ticks = [];
    fields(bytes, (field, value) => {
      if (field === 1) ticks.push(value);
      if (field === 2) this.#name(value);
      if (field === 3 && value) m.type = 'snapshot';
      if (field === 4 && value) m.reset = true;
    });
    m.data = ticks.map((tick) => this.#quote(tick, m.type === 'update'));
    return m;
  }

  /** @param {Uint8Array} symbol */
  #name(symbol) {
    let number = 0;
    let name = '';
    fields(symbol, (field, value) => {
      if (field === 1) number = value;
      if (field === 2) name = utf8.decode(value);
    });
    if (this.#symbols.size > 65_536) bad();
    if (!this.#symbols.has(number)) this.#symbols.set(number, { name });
  }

  /**
   * @param {Uint8Array} tick
   * @param {boolean} update
   */
  #quote(tick, update) {
    /** @type {number[]} */
    const n = [];
    /** Fields 2 to 11. @type {any[]} */
    const f = [];
    fields(tick, (field, value) => {
      if (field === 1) {
        const r = typeof value === 'number' ? undefined : { bytes: value, at: 0 };
        if (!r) n.push(unzigzag(value));
        while (r && r.at < value.length) n.push(unzigzag(varint(r)));
      } else {
        f[field] = typeof value === 'number' ? value : utf8.decode(value);
      }
    });
    const symbol = this.#symbols.get(Math.abs(n[0])) ?? bad();
    const last = symbol.n;
    const key = n.length > 6;
    for (let i = 0; i < 9; i++) n[i] ??= 0;
    if (n[0] > 0) n[1] *= 1000;
    if (!key) {
      if (!last) bad();
      for (let i = 1; i < 6; i++) n[i] += last[i];
      n[6] = last[6] + 1 + (f[11] ?? 0);
      n[7] = last[7];
      n[8] = last[8];
    }
    symbol.n = n;
    const [, micros, bid, spread, bidSize, askSize, seq, digits, sizeDigits] = n;
    const ask = bid + spread;
    if (!(micros >= 0 && micros < 2 ** 53 && digits <= 15 && sizeDigits <= 15)) bad();
    for (const v of [bid, ask, bidSize, askSize]) if (!(v >= 0 && v <= limit)) bad();
    const cut = unzigzag(f[2] ?? 0);
    const sizeCut = unzigzag(f[3] ?? 0);
    const skipped = last && update && !f[4] ? seq - last[6] - 1 : 0;
    /** @type {any} */
    const quote = { symbol: symbol.name, bid: f[7] ?? decimal(bid, digits, cut), ask: f[8] ?? decimal(ask, digits, -cut) };
    if (bidSize || f[9]) quote.bid_size = f[9] ?? decimal(bidSize - 1, sizeDigits, sizeCut);
    if (askSize || f[10]) quote.ask_size = f[10] ?? decimal(askSize - 1, sizeDigits, -sizeCut);
    quote.ts = time(micros);
    quote.seq = seq;
    if (f[5]) quote.gap = true;
    if (f[4]) quote.epoch = f[4];
    if (skipped > 0) quote.skipped = skipped;
    if (f[6]) quote.status = f[6];
    return quote;
  }
}
