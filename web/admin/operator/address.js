// The choices of the operator, which the address keeps: #range=24h&node=a. So a reload keeps them,
// the browser's Back undoes them, and a link can be sent to a colleague.

import { make } from '/dom.js';

/** Returns a choice; '' if there is none. @param {string} name */
export const chosen = (name) => new URLSearchParams(location.hash.slice(1)).get(name) ?? '';

/**
 * Returns the address of the page with other choices; '' ends a choice.
 *
 * @param {Record<string, string>} changes
 */
export function addressOf(changes) {
  const choices = new URLSearchParams(location.hash.slice(1));
  for (const [name, value] of Object.entries(changes)) {
    if (value) choices.set(name, value);
    else choices.delete(name);
  }
  return `#${choices}`;
}

/**
 * Makes a link that makes choices.
 *
 * @param {string} text
 * @param {Record<string, string>} changes
 */
export const link = (text, changes) => make('a', { href: addressOf(changes), onclick: (e) => {
  if (e.ctrlKey || e.metaKey || e.shiftKey) return; // opens another tab
  e.preventDefault();
  choose(changes); // beside what has been chosen since the link was made
} }, text);

/** Makes choices. @param {Record<string, string>} changes */
export const choose = (changes) => (location.hash = addressOf(changes));

/** Calls a function after each choice. @param {() => void} f */
export const onChoice = (f) => addEventListener('hashchange', f);
