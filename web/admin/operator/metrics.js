// The part of Prometheus's text format that this page needs.

/**
 * One sample of /metrics.
 *
 * @typedef {object} Sample
 * @property {number} at Milliseconds by this browser's clock.
 * @property {Map<string, {labels: Record<string, string>, value: number}[]>} series By name.
 */

const line = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)(?:\s+-?\d+)?\s*$/;
const label = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g;
const escapes = { n: '\n', '\\': '\\', '"': '"' };
const infinite = { '+Inf': Infinity, Inf: Infinity, '-Inf': -Infinity };

/**
 * Reads the text of /metrics. It skips lines that are not samples.
 *
 * @param {string} text
 * @param {number} at
 * @returns {Sample}
 */
export function parse(text, at) {
  const series = new Map();
  for (const row of text.split('\n')) {
    const found = row[0] === '#' ? null : line.exec(row);
    if (!found) continue;
    const [, name, inner, number] = found;
    const labels = {};
    for (const [, key, value] of (inner ?? '').matchAll(label)) {
      labels[key] = value.replace(/\\(.)/g, (all, c) => escapes[c] ?? all);
    }
    if (!series.has(name)) series.set(name, []);
    series.get(name).push({ labels, value: infinite[number] ?? Number(number) });
  }
  return { at, series };
}

const matches = (labels, want) => Object.entries(want).every(([key, value]) => labels[key] === value);

/**
 * Returns the sum of the series of this name that have these labels, or undefined if there are none.
 *
 * @param {Sample | undefined} sample
 * @param {string} name
 * @param {Record<string, string>} [want]
 */
export function value(sample, name, want = {}) {
  const found = (sample?.series.get(name) ?? []).filter(({ labels }) => matches(labels, want));
  return found.length ? found.reduce((sum, s) => sum + s.value, 0) : undefined;
}

/**
 * Returns the increase of a counter between two samples. It is undefined if a sample does not have
 * the counter, or if the counter went back because the node was restarted.
 *
 * @param {Sample | undefined} from
 * @param {Sample | undefined} to
 * @param {string} name
 * @param {Record<string, string>} [want]
 */
export function increase(from, to, name, want) {
  const [before, after] = [value(from, name, want), value(to, name, want)];
  return before === undefined || after === undefined || after < before ? undefined : after - before;
}

/** Returns the increase per second. */
export function rate(from, to, name, want) {
  const n = increase(from, to, name, want);
  return n === undefined || to.at <= from.at ? undefined : (n * 1000) / (to.at - from.at);
}

/**
 * Returns the quantile q of the values that a histogram counted between two samples. It is null
 * if the histogram counted nothing, undefined if there is no such histogram, and Infinity beyond
 * the last bound. It interpolates geometrically within a bucket, and linearly within the first.
 *
 * @param {Sample | undefined} from
 * @param {Sample | undefined} to
 * @param {string} name
 * @param {number} q
 */
export function quantile(from, to, name, q) {
  const bounds = (sample) => new Map((sample?.series.get(name + '_bucket') ?? []).map((s) => [Number(s.labels.le.replace('+Inf', 'Infinity')), s.value]));
  const [before, after] = [bounds(from), bounds(to)];
  if (!before.size || !after.size) return undefined;
  const buckets = [...after].map(([le, n]) => [le, n - (before.get(le) ?? 0)]).sort((a, b) => a[0] - b[0]);
  const total = buckets.at(-1)[1];
  if (buckets.some(([, n]) => n < 0)) return undefined; // the node was restarted
  if (total === 0) return null;
  const i = buckets.findIndex(([, n]) => n >= q * total);
  const [upper, n] = buckets[i];
  if (upper === Infinity) return Infinity;
  const [lower, below] = i > 0 ? buckets[i - 1] : [0, 0];
  const part = n > below ? (q * total - below) / (n - below) : 1;
  return lower > 0 ? lower * (upper / lower) ** part : upper * part;
}
