// The marks of a plot's axes.

const minutes = [1, 2, 5, 10, 15, 30, 60, 120, 180, 240, 360, 720];

/**
 * Returns round values from 0 to at least top, three or four of them.
 *
 * @param {number} top The highest value; 0 if there is none.
 * @param {{least?: number, binary?: boolean}} [how] The least distance, and whether round values are powers of two.
 */
export function valueMarks(top, { least = 0, binary = false } = {}) {
  const rough = (top > 0 ? top : 1) / 3;
  const power = binary ? 2 ** Math.ceil(Math.log2(rough)) : 10 ** Math.floor(Math.log10(rough));
  const step = Math.max(least, binary ? power : [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough * 0.999));
  const marks = [0];
  while (marks.at(-1) < top || marks.length < 2) marks.push(marks.length * step);
  return marks;
}

/**
 * Returns times at round hours and minutes of this browser's zone.
 *
 * @param {number} from In ms.
 * @param {number} to
 * @param {number} most
 */
export function timeMarks(from, to, most) {
  const step = 60_000 * (minutes.find((m) => (to - from) / (m * 60_000) <= most) ?? 1440);
  const midnight = new Date(from).setHours(0, 0, 0, 0);
  const marks = [];
  for (let t = midnight + Math.ceil((from - midnight) / step) * step; t <= to; t += step) marks.push(t);
  return marks;
}
