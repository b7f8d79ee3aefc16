// When the page draws: with the browser's frames, but at most ten times a second. What changes in
// between is drawn by the next one. A hidden page has no frames.

const least = 100; // ms from one frame to the next

export class Frames {
  #wanted = false;
  #last = -Infinity;

  /** @param {() => void} draw */
  constructor(draw) {
    this.draw = draw;
  }

  /** Has everything drawn soon. */
  request() {
    if (this.#wanted) return;
    this.#wanted = true;
    const wait = this.#last + least - performance.now();
    if (wait > 4) setTimeout(() => requestAnimationFrame(() => this.#run()), wait);
    else requestAnimationFrame(() => this.#run());
  }

  #run() {
    this.#wanted = false;
    this.#last = performance.now();
    this.draw();
  }
}
