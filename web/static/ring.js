// The last rows of a table of numbers, in one block of memory that grows up to
// its capacity and is then overwritten from the oldest row on.

export class Ring {
  #data;
  #rows = 16;
  #first = 0;

  /**
   * @param {number} width numbers per row
   * @param {number} capacity most rows kept
   */
  constructor(width, capacity) {
    this.width = width;
    this.capacity = capacity;
    this.length = 0;
    /** Rows ever pushed: tells a reader how many it has not seen. */
    this.pushed = 0;
    this.#data = new Float64Array(width * this.#rows);
  }

  /** @param {number[]} row */
  push(...row) {
    if (this.length === this.#rows && this.#rows < this.capacity) this.#grow();
    if (this.length < this.#rows) this.length++;
    else this.#first = (this.#first + 1) % this.#rows;
    this.pushed++;
    this.set(this.length - 1, ...row);
  }

  /**
   * @param {number} i 0 is the oldest row kept
   * @param {number[]} row
   */
  set(i, ...row) {
    this.#data.set(row, ((this.#first + i) % this.#rows) * this.width);
  }

  /**
   * @param {number} i 0 is the oldest row kept
   * @param {number} column
   */
  at(i, column) {
    return this.#data[((this.#first + i) % this.#rows) * this.width + column];
  }

  #grow() {
    const rows = Math.min(this.#rows * 2, this.capacity);
    const data = new Float64Array(rows * this.width);
    data.set(this.#data); // not yet overwritten, so the oldest row is the first
    this.#data = data;
    this.#rows = rows;
  }
}
