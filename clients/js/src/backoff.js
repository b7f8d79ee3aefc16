// When to connect again: the server's advice, or else exponential backoff with jitter, and never more
// than ten connects a minute.

const perMinute = 10;
const minute = 60_000;

export class Backoff {
  #failures = 0;
  /** Times of the last connects, oldest first. @type {number[]} */
  #connects = [];

  /** Returns to the shortest delay, after a welcome. */
  reset() {
    this.#failures = 0;
  }

  /**
   * Returns the ms to wait before the next connect. An advised delay is never shortened, but gets up
   * to a tenth more, so that clients with the same advice do not all come back at once.
   *
   * @param {number} now
   * @param {number} [advised] ms
   */
  delay(now, advised) {
    const first = advised ?? 200 * 2 ** Math.min(this.#failures++, 6);
    const last = advised === undefined ? Math.min(5 * first, 30_000) : 1.1 * first;
    return Math.max(first + (last - first) * Math.random(), this.blocked(now));
  }

  /**
   * Returns the ms until another connect is within the limit; 0 if it is now.
   *
   * @param {number} now
   */
  blocked(now) {
    const first = this.#connects[this.#connects.length - perMinute];
    return first === undefined ? 0 : Math.max(0, first + minute - now);
  }

  /**
   * Counts a connect.
   *
   * @param {number} now
   */
  count(now) {
    this.#connects.push(now);
    if (this.#connects.length > perMinute) this.#connects.shift();
  }
}
