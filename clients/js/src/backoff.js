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
   * @param {number} advised ms; 0 = no advice
   */
  delay(now, advised) {
    const first = advised || 200 * 2 ** Math.min(this.#failures++, 6);
    const last = advised ? 1.1 * first : Math.min(5 * first, 30_000);
    return Math.max(first + (last - first) * Math.random(), this.blocked(now));
  }

  /**
   * Returns the ms until another connect is within the limit; 0 if it is now.
   *
   * @param {number} now
   */
  blocked(now) {
    return Math.max(0, (this.#connects.at(-perMinute) ?? -minute) + minute - now);
  }

  /**
   * Counts a connect.
   *
   * @param {number} now
   */
  count(now) {
    this.#connects = [...this.#connects.slice(1 - perMinute), now];
  }
}
