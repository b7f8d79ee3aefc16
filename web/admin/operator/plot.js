// One plot: lines over time, with both axes, and the value at a time that the pointer or the arrow
// keys choose.

import { timeMarks, valueMarks } from '/axis.js';
import { draw, make, say } from '/dom.js';
import { missing, moment } from '/format.js';

const height = 120;
const left = 54; // px of the labels of the values
const right = 8;
const top = 6;
const bottom = 18; // px of the labels of the times
const labelWidth = 62; // px that the label of a time needs

const hour = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit' });
const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowDown: -1, ArrowUp: 1, PageDown: -12, PageUp: 12, Home: -Infinity, End: Infinity };

/**
 * What is plotted.
 *
 * @typedef {object} Past
 * @property {number} from The start of the time axis, in ms.
 * @property {number} to Its end.
 * @property {number} first The time of the first value.
 * @property {number} step
 * @property {number} count The number of values.
 * @property {Record<string, (number | null)[]>} series Their values; null = not known.
 */

export class Plot {
  /**
   * @param {{title: string, unit: string, lines: [series: string, name: string][], show: (n: number) => string, mark: (n: number) => string, least?: number, binary?: boolean}} kind
   *     The first line is the main one; the marks of the value axis are shown by `mark`.
   * @param {(i: number | null) => void} point Called with the place of the value that the user chose; null = none.
   */
  constructor(kind, point) {
    this.kind = kind;
    this.point = point;
    this.readout = make('p', { className: 'readout' });
    this.svg = draw('svg', { 'aria-hidden': 'true', height });
    this.field = make('div', { className: 'field', tabIndex: 0 }, this.svg);
    this.field.setAttribute('role', 'slider');
    this.field.setAttribute('aria-label', `${kind.title}, ${kind.unit}, over time`);
    this.element = make('figure', { className: 'plot' },
      make('figcaption', {}, make('h3', {}, kind.title, make('span', { className: 'dim' }, ` ${kind.unit}`)), this.readout), this.field);
    this.field.onpointermove = (e) => this.point(this.placeAt(e.offsetX));
    this.field.onpointerdown = this.field.onpointermove;
    this.field.onpointerleave = () => this.point(null);
    this.field.onblur = () => this.point(null);
    this.field.onkeydown = (e) => this.key(e);
    this.past = null;
    this.at = null;
    new ResizeObserver(() => this.draw()).observe(this.field);
  }

  /** @param {Past | null} past null = nothing is known, for the reason `why`. */
  show(past, why = '') {
    this.past = past;
    this.why = why;
    this.draw();
  }

  key(e) {
    if (e.key === 'Escape') return this.point(null);
    if (!(e.key in steps) || !this.past?.count) return;
    e.preventDefault();
    const last = this.past.count - 1;
    this.point(Math.min(last, Math.max(0, (this.at ?? last) + steps[e.key])));
  }

  /** Returns the place of the value at a distance from the left edge. */
  placeAt(px) {
    if (!this.past?.count) return null;
    const { from, to, first, step, count } = this.past;
    const time = from + ((px - left) / (this.width - left - right)) * (to - from);
    return Math.min(count - 1, Math.max(0, Math.round((time - first) / step)));
  }

  /** Marks the value at a place; null = none, and the newest is shown. */
  mark(at) {
    this.at = at;
    this.cursor.replaceChildren();
    const count = this.past?.count ?? 0;
    const i = at ?? count - 1;
    const time = count ? this.past.first + i * this.past.step : 0;
    const values = this.known.map(([series, name]) => {
      const n = this.past?.series[series]?.[i] ?? null;
      if (at !== null && n !== null) this.cursor.append(draw('circle', { class: 'dot', cx: this.x(time), cy: this.y(n), r: 3 }));
      return (n === null ? 'unknown' : this.kind.show(n)) + (name ? ` ${name}` : '');
    });
    if (at !== null) this.cursor.prepend(draw('line', { class: 'cursor', x1: this.x(time), x2: this.x(time), y1: top, y2: height - bottom }));
    const text = count ? `${moment(time)}: ${values.join(', ')}` : (this.why || missing);
    say(this.readout, at === null && count ? values.join(', ') : text);
    this.element.classList.toggle('pointed', at !== null);
    for (const [name, value] of [['min', 0], ['max', Math.max(0, count - 1)], ['now', Math.max(0, i)], ['text', text]]) this.field.setAttribute(`aria-value${name}`, String(value));
  }

  draw() {
    this.width = Math.max(160, this.field.clientWidth);
    const { past, width, kind } = this;
    this.svg.setAttribute('width', String(width));
    this.cursor = draw('g');
    // A second line of which nothing is known is left out.
    this.known = kind.lines.filter(([series], i) => i === 0 || past?.series[series]?.some((n) => n !== null));
    const values = past ? kind.lines.flatMap(([series]) => past.series[series] ?? []).filter((n) => n !== null) : [];
    const marks = valueMarks(values.reduce((most, n) => Math.max(most, n), 0), kind);
    const most = marks.at(-1);
    this.y = (n) => top + (1 - n / most) * (height - top - bottom);
    this.x = (t) => (past ? left + ((t - past.from) / (past.to - past.from)) * (width - left - right) : left);
    const parts = [];
    for (const n of values.length ? marks : [0]) {
      parts.push(draw('line', { class: n ? 'grid' : 'base', x1: left, x2: width - right, y1: this.y(n), y2: this.y(n) }));
      if (values.length) parts.push(draw('text', { class: 'axis', x: left - 6, y: this.y(n) + 4, 'text-anchor': 'end' }, kind.mark(n)));
    }
    for (const t of past ? timeMarks(past.from, past.to, (width - left) / labelWidth) : []) {
      parts.push(draw('line', { class: 'tick', x1: this.x(t), x2: this.x(t), y1: height - bottom, y2: height - bottom + 3 }));
      if (this.x(t) > left + 12 && this.x(t) < width - 16) parts.push(draw('text', { class: 'axis', x: this.x(t), y: height - 3, 'text-anchor': 'middle' }, hour.format(t)));
    }
    if (!values.length) {
      parts.push(draw('text', { class: 'axis', x: (left + width) / 2, y: height / 2, 'text-anchor': 'middle' }, past && past.count === 0 ? 'no value yet' : 'unknown'));
    }
    kind.lines.forEach(([series], i) => past && parts.push(...this.line(past.series[series] ?? [], i === 0)));
    this.svg.replaceChildren(...parts, this.cursor);
    this.mark(this.at !== null && past?.count > this.at ? this.at : null);
  }

  /** Returns a line, which breaks where a value is not known, and for the main line the area below it. */
  line(values, main) {
    let line = '';
    let ground = '';
    const { first, step } = this.past;
    const point = (i) => `${this.x(first + i * step).toFixed(1)} ${this.y(values[i]).toFixed(1)}`;
    for (let i = 0; i < values.length; i++) {
      if (values[i] === null) continue;
      let end = i;
      while (end + 1 < values.length && values[end + 1] !== null) end++;
      const points = [];
      for (let k = i; k <= end; k++) points.push(point(k));
      line += `M${points.join('L')}${i === end ? 'h0' : ''}`;
      ground += `M${this.x(first + i * step).toFixed(1)} ${this.y(0)}L${points.join('L')}V${this.y(0)}Z`;
      i = end;
    }
    const path = draw('path', { class: main ? 'line' : 'line second', d: line });
    return main ? [draw('path', { class: 'ground', d: ground }), path] : [path];
  }
}
