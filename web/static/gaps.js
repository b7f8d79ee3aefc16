// Times without data, which a chart shows as what they are: an empty band that says for how long. The
// chart has no place of its own for them, since its points lie side by side whatever their times.

const mostPlaces = 16; // empty places that one gap takes

/**
 * @typedef {{ time: number }} Timed
 * @typedef {object} Gap
 * @property {number} from time of the last point before it
 * @property {number} to time of the first point after it
 */

/**
 * Returns the points with empty places in their gaps, and the gaps.
 *
 * @template {Timed} T
 * @param {T[]} points oldest first
 * @param {number} longest seconds from one point to the next without a gap
 * @param {number} least places of a gap
 * @returns {{ points: (T | Timed)[], gaps: Gap[] }}
 */
export function withGaps(points, longest, least) {
  /** @type {(T | Timed)[]} */
  const all = [];
  /** @type {Gap[]} */
  const gaps = [];
  for (const [i, point] of points.entries()) {
    const before = points[i - 1]?.time;
    if (isGap(before, point.time, longest)) {
      const places = Math.min(mostPlaces, Math.max(least, Math.round((point.time - before) / longest) - 1));
      for (let n = 1; n <= places; n++) all.push({ time: before + ((point.time - before) * n) / (places + 1) });
      gaps.push({ from: before, to: point.time });
    }
    all.push(point);
  }
  return { points: all, gaps };
}

/**
 * @param {number|undefined} before
 * @param {number} time
 * @param {number} longest
 */
export function isGap(before, time, longest) {
  return before !== undefined && time - before > longest * 1.001;
}

/** The bands of the gaps, as a primitive of the chart's series. */
export class Bands {
  /** @type {Gap[]} */
  gaps = [];
  colors = { ground: '', line: '', text: '', font: '' };
  #update = () => {};
  #view = { zOrder: () => /** @type {const} */ ('top'), renderer: () => ({ draw: (/** @type {any} */ target) => target.useBitmapCoordinateSpace((/** @type {any} */ scope) => this.#draw(scope)) }) };

  /** @param {{ timeScale: () => { timeToCoordinate: (t: any) => number | null } }} chart */
  constructor(chart) {
    this.chart = chart;
  }

  /** @param {{ requestUpdate: () => void }} series */
  attached({ requestUpdate }) {
    this.#update = requestUpdate;
  }

  paneViews() {
    return [this.#view];
  }

  /** @param {Gap[]} gaps */
  show(gaps) {
    this.gaps = gaps;
    this.#update();
  }

  /** @param {{ context: CanvasRenderingContext2D, bitmapSize: { width: number, height: number }, horizontalPixelRatio: number }} scope */
  #draw({ context, bitmapSize: { width, height }, horizontalPixelRatio: ratio }) {
    const scale = this.chart.timeScale();
    for (const { from, to } of this.gaps) {
      const [a, b] = [from, to].map((t) => scale.timeToCoordinate(t));
      if (a === null || b === null) continue;
      const left = Math.round((a + 1) * ratio);
      const right = Math.round((b - 1) * ratio);
      if (right < 0 || left > width || right <= left) continue;
      context.fillStyle = this.colors.ground;
      context.fillRect(left, 0, right - left, height);
      context.fillStyle = this.colors.line;
      for (let x = left; x < right; x += 6 * ratio) context.fillRect(x, 0, ratio, height);
      context.font = `${11 * ratio}px ${this.colors.font}`;
      context.textAlign = 'center';
      const text = `no data ${lasting(to - from)}`;
      if (context.measureText(text).width + 12 * ratio > right - left) continue;
      const middle = (left + right) / 2;
      const half = context.measureText(text).width / 2 + 5 * ratio;
      context.fillStyle = this.colors.ground;
      context.fillRect(middle - half, height - 24 * ratio, 2 * half, 18 * ratio);
      context.fillStyle = this.colors.text;
      context.fillText(text, middle, height - 11 * ratio);
    }
  }
}

/** @param {number} seconds */
function lasting(seconds) {
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return seconds < 172_800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86_400)} d`;
}
