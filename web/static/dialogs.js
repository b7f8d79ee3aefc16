// The dialogs and buttons of the lists and alerts.

import { watch } from './settings.js';

/** @param {string} id */
const at = (id) => /** @type {any} */ (document.getElementById(id));

/**
 * Binds a dialog to the button that opens it, and to its form, which has one field.
 *
 * @param {string} name list or alert
 * @param {string} opener
 * @param {string} field
 * @param {() => void} onOpen
 * @param {(text: string) => boolean} take false keeps the dialog open
 */
function bind(name, opener, field, onOpen, take) {
  const dialog = /** @type {HTMLDialogElement} */ (at(`${name}-dialog`));
  const input = /** @type {HTMLInputElement} */ (at(field));
  dialog.querySelector('form')?.addEventListener('submit', (e) => {
    e.preventDefault();
    const done = take(input.value.trim());
    input.setAttribute('aria-invalid', String(!done));
    if (done) dialog.close();
  });
  at(opener).addEventListener('click', () => {
    onOpen();
    input.removeAttribute('aria-invalid');
    dialog.showModal();
    input.select();
  });
  dialog.querySelector('[data-close]')?.addEventListener('click', () => dialog.close());
}

/**
 * @param {import('./lists.js').Lists} lists
 * @param {import('./grid.js').Grid} grid
 * @param {(symbol: string) => void} onOpen called with the symbol of another address
 */
export function bindLists(lists, grid, onOpen) {
  const show = () => {
    at('list').replaceChildren(...['', ...lists.names].map((name) => new Option(name || 'All symbols', name, false, name === lists.current)));
    at('list-names').replaceChildren(...lists.names.map((name) => new Option(name)));
    at('list-title').textContent = lists.current || 'All symbols';
    at('from-list').hidden = lists.current === '';
    grid.showList(lists.symbols);
  };
  at('list').addEventListener('change', () => {
    lists.show(at('list').value);
    show();
  });
  at('from-list').addEventListener('click', () => {
    lists.remove(grid.selected);
    show();
  });
  grid.table.addEventListener('keydown', (e) => {
    if (!e.altKey || e.key !== 'ArrowUp' && e.key !== 'ArrowDown' || !lists.current) return;
    e.preventDefault();
    lists.move(grid.selected, e.key === 'ArrowUp' ? -1 : 1);
    show();
    grid.select(grid.selected, true);
  });
  bind('list', 'to-list', 'list-name', () => {
    at('list-label').textContent = `List for ${grid.selected}`;
    at('list-name').value = lists.current || 'My list';
  }, (name) => {
    if (!name || !grid.selected) return false;
    lists.add(name, grid.selected);
    show();
    return true;
  });
  watch('lists', () => {
    lists.reload();
    show();
  });
  addEventListener('hashchange', () => {
    lists.open();
    show();
    if (lists.symbol) onOpen(lists.symbol);
  });
  show();
}

/**
 * @param {import('./alerts.js').Alerts} alerts
 * @param {() => import('./board.js').Instrument|undefined} chosen
 */
export function bindAlerts(alerts, chosen) {
  const show = () => {
    const entries = alerts.all.map((alert) => {
      const li = document.createElement('li');
      const remove = document.createElement('button');
      remove.type = 'button';
      remove.textContent = 'Remove';
      remove.setAttribute('aria-label', `Remove the alert of ${alert.symbol} at ${alert.level}`);
      remove.addEventListener('click', () => {
        alerts.remove(alert);
        show();
      });
      li.append(`${alert.symbol} ${alert.side > 0 ? 'rises' : 'falls'} to ${alert.level} `, remove);
      return li;
    });
    at('alerts').replaceChildren(...entries);
  };
  bind('alert', 'alert', 'alert-level', () => {
    at('alert-label').textContent = `Alert when the bid of ${chosen()?.symbol ?? ''} reaches`;
    at('alert-level').value = chosen()?.bid ?? '';
    show();
  }, (level) => {
    const i = chosen();
    return i !== undefined && alerts.add(i.symbol, i.bid, level);
  });
  watch('alerts', () => {
    alerts.reload();
    show();
  });
  at('alerted-close').addEventListener('click', () => (at('alerted').hidden = true));
}
