// The visitor's choices, stored in this browser. If the storage is blocked or full, a choice
// lasts as long as the page.

const prefix = 'fxcast.';

/**
 * @template T
 * @param {string} name
 * @param {T} fallback returned if nothing is stored, or something unreadable
 * @returns {T}
 */
export function load(name, fallback) {
  try {
    const text = localStorage.getItem(prefix + name);
    if (text === null) return fallback;
    const value = name === 'theme' ? text : JSON.parse(text);
    const same = value !== null && typeof value === typeof fallback && Array.isArray(value) === Array.isArray(fallback);
    return same ? value : fallback;
  } catch {
    return fallback;
  }
}

/**
 * Calls back when another tab has changed a choice.
 *
 * @param {string} name
 * @param {() => void} changed
 */
export function watch(name, changed) {
  addEventListener('storage', (e) => e.key === prefix + name && changed());
}

/**
 * @param {string} name
 * @param {unknown} value
 */
export function save(name, value) {
  try {
    localStorage.setItem(prefix + name, name === 'theme' ? String(value) : JSON.stringify(value));
  } catch {
    // The choice lasts as long as the page.
  }
}
