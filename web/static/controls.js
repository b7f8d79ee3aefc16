// The controls of the page.

import { load, save } from './settings.js';

/** @param {string} id */
const at = (id) => /** @type {HTMLElement} */ (document.getElementById(id));
const root = document.documentElement;

/**
 * Binds radio buttons to a choice.
 *
 * @param {string} name of the buttons
 * @param {string} value
 * @param {(value: string) => void} onChange
 */
export function choice(name, value, onChange) {
  for (const input of /** @type {NodeListOf<HTMLInputElement>} */ (document.querySelectorAll(`input[name="${name}"]`))) {
    input.checked = input.value === value;
    input.addEventListener('change', () => onChange(input.value));
  }
}

/**
 * Binds the field that filters the table.
 *
 * @param {import('./grid.js').Grid} grid
 */
export function bindFilter(grid) {
  const filter = /** @type {HTMLInputElement} */ (at('filter'));
  const set = (/** @type {string} */ text) => {
    filter.value = text;
    grid.filter(text);
  };
  filter.addEventListener('input', () => grid.filter(filter.value));
  filter.addEventListener('keydown', (e) => {
    if (e.key === 'Escape') set('');
    if (e.key !== 'Enter' && e.key !== 'ArrowDown') return;
    e.preventDefault();
    const first = grid.visible()[0]?.dataset.symbol;
    if (first) grid.select(first, true);
  });
  at('clear-filter').addEventListener('click', () => {
    set('');
    filter.focus();
  });
  document.addEventListener('keydown', (e) => {
    if (e.key !== '/' || e.target instanceof HTMLInputElement && e.target.type !== 'radio') return;
    e.preventDefault();
    filter.focus();
    filter.select();
  });
}

/**
 * Binds the buttons of the colors: light or dark, and green and red or blue and orange.
 *
 * @param {() => void} changed
 */
export function bindColors(changed) {
  const system = matchMedia('(prefers-color-scheme: dark)');
  const dark = () => (root.dataset.theme ? root.dataset.theme === 'dark' : system.matches);
  const show = () => {
    const blue = root.dataset.moves === 'blue';
    at('theme').textContent = dark() ? 'Light' : 'Dark';
    at('theme').setAttribute('aria-label', dark() ? 'Change to the light theme' : 'Change to the dark theme');
    at('moves').setAttribute('aria-pressed', String(blue));
    changed();
  };
  if (load('moves', '') === 'blue') root.dataset.moves = 'blue';
  at('theme').addEventListener('click', () => {
    root.dataset.theme = dark() ? 'light' : 'dark';
    save('theme', root.dataset.theme);
    show();
  });
  at('moves').addEventListener('click', () => {
    root.dataset.moves = root.dataset.moves === 'blue' ? '' : 'blue';
    save('moves', root.dataset.moves);
    show();
  });
  system.addEventListener('change', show);
  show();
}
