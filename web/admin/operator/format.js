// The format of values. An unknown value is never shown as a number.

export const missing = 'not available here';

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const tenths = new Intl.NumberFormat('en', { minimumFractionDigits: 1, maximumFractionDigits: 1 });

const known = (n) => typeof n === 'number' && !Number.isNaN(n);

/** @param {number | null | undefined} n */
export const count = (n) => (known(n) ? whole.format(n) : missing);

/** Formats a rate or another small decimal. */
export const decimal = (n) => (!known(n) ? missing : n === 0 ? '0' : n < 99.95 ? (n < 0.05 ? '<0.1' : tenths.format(n)) : whole.format(n));

/** @param {number | null | undefined} part Of 1. */
export const percent = (part) => (known(part) ? `${part > 0 && part < 0.001 ? '<0.1' : tenths.format(100 * part)} %` : missing);

/** Formats bytes as the program's commands do. */
export function bytes(n) {
  if (!known(n)) return missing;
  if (n < 1024) return `${whole.format(n)} B`;
  let unit = -1;
  for (; n >= 1023.95 && unit < 5; unit++) n /= 1024;
  return `${tenths.format(n)} ${'KMGTPE'[unit]}iB`;
}

/** Formats a duration in the most suitable unit. */
export function seconds(n) {
  if (!known(n)) return missing;
  if (n === Infinity) return 'over a minute';
  if (n === 0) return '0 s';
  if (n < 0.001) return `${whole.format(n * 1e6)} µs`;
  if (n < 0.1) return `${tenths.format(n * 1e3)} ms`;
  if (n < 1) return `${whole.format(n * 1e3)} ms`;
  return n < 100 ? `${tenths.format(n)} s` : span(n);
}

/** Formats a longer duration: 3 d 4 h. */
export function span(n) {
  if (!known(n)) return missing;
  const parts = [[86400, 'd'], [3600, 'h'], [60, 'min'], [1, 's']];
  const i = Math.max(0, parts.findIndex(([size]) => n >= size) === -1 ? 3 : parts.findIndex(([size]) => n >= size));
  const [size, unit] = parts[i];
  const rest = i < 3 ? Math.floor((n % size) / parts[i + 1][0]) : 0;
  return `${Math.floor(n / size)} ${unit}${rest ? ` ${rest} ${parts[i + 1][1]}` : ''}`;
}

const clockTime = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });
const dayTime = new Intl.DateTimeFormat('en-GB', { day: '2-digit', month: 'short', hour: '2-digit', minute: '2-digit', second: '2-digit' });

/** Formats a time in this browser's zone, with the date unless it is today. */
export function moment(at) {
  if (at === undefined || at === null || at === '') return missing;
  const date = new Date(at);
  if (Number.isNaN(date.getTime())) return missing;
  return (date.toDateString() === new Date().toDateString() ? clockTime : dayTime).format(date);
}
