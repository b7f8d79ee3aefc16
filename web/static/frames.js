// When the page draws: at most ten times a second, and not while it is hidden. What changes in between
// is drawn the next time. A frame of the browser costs much however little changes, so all parts of the
// page share one. They change it before the frame, not within: the chart asks for its frame then too.

const least = 100; // ms from one time to the next

export class Frames {
  #wanted = false;
  #last = -Infinity;

  /** @param {() => void} draw */
  constructor(draw) {
    this.draw = draw;
    document.addEventListener('visibilitychange', () => this.#wanted && this.#wait());
  }

  /** Has everything drawn soon. */
  request() {
    if (this.#wanted) return;
    this.#wanted = true;
    this.#wait();
  }

  #wait() {
    setTimeout(() => {
      if (!this.#wanted || document.hidden) return;
      this.#wanted = false;
      this.#last = performance.now();
      this.draw();
    }, Math.max(0, this.#last + least - performance.now()));
  }
}
