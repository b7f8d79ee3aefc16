// How old a price is, in words.

/** @typedef {import('./board.js').Instrument} Instrument */

/**
 * The status of a price that is not live, and its age. The word is "" for a live price,
 * whose age is short.
 *
 * @param {Instrument} i
 * @param {number} now the server's clock
 * @returns {[word: string, age: string]}
 */
export function ageOf(i, now) {
  if (!i.hasPrice) return ['', i.status === 'unknown' ? 'no price' : ''];
  const [n, unit] = inUnits(now - i.time);
  if (i.status === 'live') return ['', `${n}${unit}`];
  return [i.status, `${n} ${unit} ago`];
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
