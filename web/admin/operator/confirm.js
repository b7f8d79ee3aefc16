// The dialog that stands before every change, and the line that tells what came of it.

import { byId, facts } from '/dom.js';

/**
 * Asks whether to go on, and names whom it concerns.
 *
 * @param {{title: string, text: string, about: [string, string][], yes: string}} question
 * @returns {Promise<boolean>}
 */
export function confirm({ title, text, about, yes }) {
  const dialog = byId('confirm');
  byId('confirm-title').textContent = title;
  byId('confirm-text').textContent = text;
  facts(byId('confirm-facts'), about);
  byId('confirm-yes').textContent = yes;
  return new Promise((resolve) => {
    let answer = false;
    byId('confirm-yes').onclick = () => {
      answer = true;
      dialog.close();
    };
    byId('confirm-no').onclick = () => dialog.close();
    dialog.onclose = () => resolve(answer); // by Escape too
    dialog.showModal();
    byId('confirm-no').focus(); // Enter alone must not do it
  });
}

let timer;

/** Tells for a while what became of a change. */
export function tell(text, bad = false) {
  const toast = byId('toast');
  toast.textContent = text;
  toast.dataset.bad = String(bad);
  clearTimeout(timer);
  timer = setTimeout(() => (toast.textContent = ''), 8000);
}

/**
 * Does a change and tells of it.
 *
 * @param {() => Promise<string>} change Returns what was done, in words.
 */
export async function attempt(change) {
  try {
    tell(await change());
  } catch (err) {
    tell(`Not done: ${err.message}`, true);
  }
}
