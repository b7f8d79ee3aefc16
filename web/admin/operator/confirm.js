// The dialog before every change, and the message about its result.

import { byId, facts } from '/dom.js';

/**
 * Asks whether to make a change, and shows its subject.
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
    dialog.onclose = () => resolve(answer); // also after Escape
    dialog.showModal();
    byId('confirm-no').focus(); // so that Enter alone does not make the change
  });
}

let timer;

/** Shows the result of a change for 8 s. */
export function notify(text, bad = false) {
  const toast = byId('toast');
  toast.textContent = text;
  toast.dataset.bad = String(bad);
  clearTimeout(timer);
  timer = setTimeout(() => (toast.textContent = ''), 8000);
}

/**
 * Makes a change and shows its result.
 *
 * @param {() => Promise<string>} change Returns a sentence about the change.
 */
export async function attempt(change) {
  try {
    notify(await change());
  } catch (err) {
    notify(`Not done: ${err.message}`, true);
  }
}
