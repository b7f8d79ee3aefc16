// The table as text: to paste into a spreadsheet, or as a CSV file. Prices keep their digits.

/** @typedef {import('./board.js').Instrument} Instrument */

const columns = ['symbol', 'bid', 'ask', 'time', 'status'];

/** @param {Instrument} i */
const fields = (i) => [i.symbol, i.bid, i.ask, i.time ? new Date(i.time).toISOString() : '', i.status];

/**
 * @param {Instrument[]} instruments
 * @param {string} separator
 */
export function asText(instruments, separator) {
  return [columns, ...instruments.map(fields)].map((row) => `${row.join(separator)}\r\n`).join('');
}

/**
 * Binds the buttons that copy and download the table.
 *
 * @param {() => Instrument[]} shown the rows in their order
 */
export function bindSheet(shown) {
  const copy = /** @type {HTMLElement} */ (document.getElementById('copy'));
  const label = copy.textContent;
  copy.addEventListener('click', async () => {
    try {
      await navigator.clipboard.writeText(asText(shown(), '\t'));
      copy.textContent = 'Copied';
    } catch {
      copy.textContent = 'Not allowed here';
    }
    setTimeout(() => (copy.textContent = label), 2000);
  });
  document.getElementById('csv')?.addEventListener('click', () => {
    const link = document.createElement('a');
    link.href = URL.createObjectURL(new Blob([asText(shown(), ',')], { type: 'text/csv' }));
    link.download = `prices-${new Date().toISOString().slice(0, 19).replaceAll(':', '')}.csv`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  });
}
