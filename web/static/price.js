// Arithmetic on decimal text. Prices arrive as the producer wrote them. They are compared and
// subtracted as integers of a common scale, never as floats.

/**
 * @typedef {object} Scaled a decimal number: units / 10^scale
 * @property {bigint} units
 * @property {number} scale
 */

/**
 * @param {string} text plain decimal such as "1.08501"
 * @returns {Scaled}
 */
export function scaled(text) {
  const dot = text.indexOf('.');
  if (dot < 0) return { units: BigInt(text), scale: 0 };
  return { units: BigInt(text.slice(0, dot) + text.slice(dot + 1)), scale: text.length - dot - 1 };
}

/**
 * @param {Scaled} x
 * @param {number} scale at least x.scale
 */
function unitsAt(x, scale) {
  return x.units * 10n ** BigInt(scale - x.scale);
}

/**
 * @param {string} a
 * @param {string} b
 * @returns {-1|0|1} the sign of a - b
 */
export function compare(a, b) {
  if (a === b) return 0;
  if (a.length === b.length && a.indexOf('.') === b.indexOf('.')) return a < b ? -1 : 1;
  const x = scaled(a);
  const y = scaled(b);
  const scale = Math.max(x.scale, y.scale);
  const ux = unitsAt(x, scale);
  const uy = unitsAt(y, scale);
  return ux < uy ? -1 : ux > uy ? 1 : 0;
}

/**
 * The spread in pips, exact, with at least one digit after the point.
 *
 * @param {string} bid
 * @param {string} ask
 * @param {string} pip such as "0.0001"
 */
export function spreadInPips(bid, ask, pip) {
  const b = scaled(bid);
  const a = scaled(ask);
  const p = scaled(pip);
  if (p.units <= 0n) return '';
  const scale = Math.max(a.scale, b.scale, p.scale + 1);
  const digits = scale - p.scale;
  // A pip is a power of ten in every known market. For any other pip this rounds down.
  const tenths = (unitsAt(a, scale) - unitsAt(b, scale)) / p.units;
  const sign = tenths < 0n ? '-' : '';
  const text = (tenths < 0n ? -tenths : tenths).toString().padStart(digits + 1, '0');
  const whole = text.slice(0, -digits);
  const rest = text.slice(-digits).replace(/(?<=.)0+$/, '');
  return `${sign}${whole}.${rest}`;
}

/**
 * The change from one price to another in percent, with two digits, exact but for their rounding.
 *
 * @param {string} from
 * @param {string} to
 */
export function changeInPercent(from, to) {
  const a = scaled(from);
  const b = scaled(to);
  const scale = Math.max(a.scale, b.scale);
  const base = unitsAt(a, scale);
  if (base <= 0n) return '';
  const twice = ((unitsAt(b, scale) - base) * 20_000n) / base; // half hundredths of a percent
  const size = ((twice < 0n ? -twice : twice) + 1n) / 2n;
  const text = size.toString().padStart(3, '0');
  return `${size === 0n ? '' : twice < 0n ? '−' : '+'}${text.slice(0, -2)}.${text.slice(-2)} %`;
}

/**
 * Digits after the point.
 *
 * @param {string} text
 */
export function decimals(text) {
  const dot = text.indexOf('.');
  return dot < 0 ? 0 : text.length - dot - 1;
}

/**
 * Splits a price as dealing screens show it: the big figure, the two pip digits, and the
 * fraction of a pip. The joined parts are the original text.
 *
 * @param {string} text
 * @param {number} pipDecimals digits after the point that one pip has
 * @returns {[string, string, string]}
 */
export function split(text, pipDecimals) {
  const dot = text.indexOf('.');
  if (dot < 0) return ['', text, ''];
  // Metals have pips of one digit or none. Two digits are still shown large.
  const end = dot + 1 + Math.max(2, pipDecimals);
  if (end > text.length) return [text.slice(0, dot + 1), text.slice(dot + 1), ''];
  return [text.slice(0, end - 2), text.slice(end - 2, end), text.slice(end)];
}

/**
 * The class of a price by its length: a long one gets smaller digits, the longest is cut with dots.
 *
 * @param {string} text
 * @returns {''|' long'|' longer'|' longest'}
 */
export function lengthOf({ length }) {
  return length <= 8 ? '' : length <= 11 ? ' long' : length <= 15 ? ' longer' : ' longest';
}
