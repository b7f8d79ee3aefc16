// The one clock of a client. Tests make it run faster; nothing else does.

export class Clock {
  #scale;

  /** @param {number} [scale] the part of a second that a second of the client takes */
  constructor(scale = 1) {
    this.#scale = scale;
  }

  /** Returns the ms since some fixed time. */
  now() {
    return performance.now() / this.#scale;
  }

  /**
   * Calls f after so many ms. The result cancels the call.
   *
   * @param {number} ms
   * @param {() => void} f
   * @returns {() => void}
   */
  after(ms, f) {
    const timer = setTimeout(f, Math.min(ms * this.#scale, 2 ** 31 - 1)); // more would be no wait at all
    return () => clearTimeout(timer);
  }
}
