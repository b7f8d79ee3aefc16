// The age of a price, as text.

/** @typedef {import('./board.js').Instrument} Instrument */

/**
 * Returns the status and the age of a price. For a live price the status is "", and the age is
 * written in its short form.
 *
 * @param {Instrument} i
 * @param {number} now the server's clock
 * @returns {[word: string, age: string, ago: string]} ago ends the age of a price that is not live
 */
export function ageOf(i, now) {
  if (!i.hasPrice) return ['', i.status === 'unknown' ? 'no price' : '', ''];
  const [n, unit] = inUnits(now - i.time);
  if (i.status === 'live') return ['', `${n}${unit}`, ''];
  return [i.status, `${n} ${unit}`, ' ago'];
}

/**
 * @param {number} ms
 * @returns {[number, string]}
 */
function inUnits(ms) {
  const s = Math.max(0, Math.floor(ms / 1000));
  if (s < 60) return [s, 's'];
  if (s < 3600) return [Math.floor(s / 60), 'm'];
  if (s < 86400) return [Math.floor(s / 3600), 'h'];
  return [Math.floor(s / 86400), 'd'];
}
