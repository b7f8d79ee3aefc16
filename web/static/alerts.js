// Alerts: a sound, a notification and words on the page when the bid of a symbol reaches a level. The
// browser keeps them until they have happened. They work while the page is open, also in a hidden tab.

import { compare } from './price.js';
import { load, save } from './settings.js';

/**
 * @typedef {object} Alert
 * @property {string} symbol
 * @property {string} level decimal text
 * @property {1|-1} side 1: the bid rises to the level; -1: it falls to it
 */

const most = 100;

/** @param {any} a */
const isAlert = (a) => typeof a?.symbol === 'string' && typeof a.level === 'string' && /^\d+(\.\d+)?$/.test(a.level) && (a.side === 1 || a.side === -1);

/** Returns the alerts that the browser keeps. */
const stored = () => load('alerts', /** @type {Alert[]} */ ([])).filter(isAlert).slice(0, most);

export class Alerts {
  /** @type {Alert[]} */
  all = stored();

  /** @param {(text: string) => void} say shows words on the page */
  constructor(say) {
    this.say = say;
  }

  /** Takes the alerts that the browser keeps, which another tab may have changed. */
  reload() {
    this.all = stored();
  }

  /**
   * Sets an alert. It asks the visitor for permission to notify.
   *
   * @param {string} symbol
   * @param {string} bid the price now
   * @param {string} text the level, with a decimal point or comma
   * @returns {boolean} false if the level is no price
   */
  add(symbol, bid, text) {
    const level = text.replace(',', '.');
    if (!/^\d+(\.\d+)?$/.test(level) || bid === '' || this.all.length >= most) return false;
    // The comma of 4,100 may stand between thousands. It is decimal only where that is near the price.
    if (level !== text && Math.abs(Math.log10(Number(level) / Number(bid))) > 1) return false;
    this.all.push({ symbol, level, side: compare(level, bid) >= 0 ? 1 : -1 });
    save('alerts', this.all);
    if ('Notification' in window && Notification.permission === 'default') Notification.requestPermission().catch(() => {});
    return true;
  }

  /** @param {Alert} alert */
  remove(alert) {
    this.all = this.all.filter((a) => a !== alert);
    save('alerts', this.all);
  }

  /**
   * Checks the alerts of a symbol against a live quote.
   *
   * @param {{ symbol: string, bid: string, status?: string }} quote
   */
  check({ symbol, bid, status = 'live' }) {
    if (this.all.length === 0 || status !== 'live') return;
    for (const alert of this.all.filter((a) => a.symbol === symbol)) {
      if (compare(bid, alert.level) * alert.side < 0) continue;
      this.remove(alert);
      const text = `${symbol} ${bid}: it has ${alert.side > 0 ? 'risen' : 'fallen'} to ${alert.level}`;
      this.say(text);
      beep();
      try {
        if ('Notification' in window && Notification.permission === 'granted') new Notification(text, { tag: `${symbol} ${alert.level}` });
      } catch {
        // Some browsers notify only from a service worker; the words and the sound remain.
      }
    }
  }
}

/** Two short tones, made here so that no file is needed. */
function beep() {
  try {
    const audio = new AudioContext();
    const volume = audio.createGain();
    volume.gain.value = 0.15;
    volume.connect(audio.destination);
    for (const [n, frequency] of [660, 880].entries()) {
      const tone = audio.createOscillator();
      tone.frequency.value = frequency;
      tone.connect(volume);
      tone.start(audio.currentTime + n * 0.18);
      tone.stop(audio.currentTime + n * 0.18 + 0.14);
      if (n === 1) tone.onended = () => audio.close();
    }
  } catch {
    // There is no sound device.
  }
}
