// Sends commands no faster than the server allows, and takes its answers in.

/**
 * @typedef {import('./message.js').Message} Message
 * @typedef {{ code: string, message?: string, symbol?: string }} Failure
 */

export class Commands {
  #clock;
  #subscriptions;
  #positions;
  #send;
  #ready = false;
  #id = 0;
  #interval = 110; // ms between commands
  #next = 0; // when the next one may be sent
  #resumable = { left: 0 };
  #waiting = false; // for the timer, or the end of the current task
  #cancel = () => {};

  /**
   * @param {import('./clock.js').Clock} clock
   * @param {import('./subscriptions.js').Subscriptions} subscriptions
   * @param {import('./positions.js').Positions} positions
   * @param {(command: object) => boolean} send
   */
  constructor(clock, subscriptions, positions, send) {
    this.#clock = clock;
    this.#subscriptions = subscriptions;
    this.#positions = positions;
    this.#send = send;
  }

  /**
   * Begins a connection.
   *
   * @param {Message} welcome
   * @param {boolean} stream whose subscription is in its address
   */
  start(welcome, stream) {
    const { commands_per_second: perSecond, max_symbols: symbols } = welcome.limits ?? {};
    this.#interval = 1100 / (perSecond > 0 ? perSecond : 10);
    this.#next = 0;
    this.#resumable.left = symbols > 0 ? symbols : 200;
    this.#subscriptions.connected();
    this.#ready = !stream;
  }

  /** Ends the connection. */
  stop() {
    this.#ready = this.#waiting = false;
    this.#cancel();
  }

  /** Sends the commands that are due, at the end of the current task, so that calls that cancel each other cost nothing. */
  due() {
    if (!this.#ready || this.#waiting) return;
    this.#waiting = true;
    queueMicrotask(() => this.#waiting && this.#flush());
  }

  #flush() {
    this.#waiting = false;
    while (this.#ready) {
      const now = this.#clock.now();
      if (this.#next > now) {
        this.#waiting = true;
        this.#cancel = this.#clock.after(this.#next - now, () => this.#flush());
        return;
      }
      const command = this.#subscriptions.next(this.#id + 1, this.#positions, this.#resumable);
      if (!command) return;
      this.#id++;
      this.#next = Math.max(this.#next, now - 500) + this.#interval; // after a pause some may follow at once
      if (!this.#send(command)) return; // the connection is about to end
    }
  }

  /**
   * Takes an ack or an error in, and returns the names that were refused.
   *
   * @param {Message} m
   * @returns {Failure[]}
   */
  answer(m) {
    if (m.type === 'error' && m.code === 'rate_limited') this.#next = this.#clock.now() + Math.min(m.retry_after_ms || 1000, 60_000);
    const failures = this.#subscriptions.answer(m, !this.#ready);
    this.due();
    return failures;
  }
}
