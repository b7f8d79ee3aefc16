// The last rows of a table of numbers. One block of memory holds them: it grows up to its
// capacity, and then each new row overwrites the oldest.

export class Ring {
  #data;
  #rows = 16;
  #first = 0;

  /**
   * @param {number} width numbers per row
   * @param {number} capacity the largest number of rows
   */
  constructor(width, capacity) {
    this.width = width;
    this.capacity = capacity;
    this.length = 0;
    /** Rows ever pushed; a reader derives how many of them are new to it. */
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
    data.set(this.#data); // no row was overwritten yet, so the oldest row is the first
    this.#data = data;
    this.#rows = rows;
  }
}
