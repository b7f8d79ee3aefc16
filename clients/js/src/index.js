// The client of fxcast:
//
//   const fx = connect({ url: 'wss://host/ws', token });
//   const sub = fx.subscribe(['EUR/USD', 'GBP/*'], { mode: 'all' }, (quote) => …);
//   fx.addEventListener('gap', (event) => …);
//   sub.close();
//   fx.close();

import { Client } from './client.js';

/**
 * @typedef {import('./client.js').Options} Options
 * @typedef {import('./client.js').State} State
 * @typedef {import('./client.js').StateDetail} StateDetail
 * @typedef {import('./client.js').StatusDetail} StatusDetail
 * @typedef {import('./client.js').Fault} Fault
 * @typedef {import('./positions.js').Gap} Gap
 * @typedef {import('./message.js').Quote} Quote
 * @typedef {import('./message.js').Candle} Candle
 * @typedef {import('./message.js').Day} Day
 * @typedef {import('./message.js').Status} Status
 * @typedef {import('./message.js').Message} Message
 * @typedef {import('./subscriptions.js').Subscription} Subscription
 * @typedef {import('./subscriptions.js').SubscribeOptions} SubscribeOptions
 */

/**
 * @typedef {import('./client.js').Events} Events
 *
 * @typedef {object} Listening
 * @property {<K extends keyof Events>(type: K, listener: (event: Events[K]) => void, options?: AddEventListenerOptions) => void} addEventListener
 *
 * @typedef {Omit<Client, 'addEventListener'> & Listening} FxClient
 */

/**
 * Connects to a server, and again after each loss, until close(). It throws a TypeError for options
 * that cannot work; all else is reported by events: state, gap, status, error, message.
 *
 * @param {Options} [options]
 * @returns {FxClient}
 */
export const connect = (options) => /** @type {any} */ (new Client(options)); // addEventListener with the types of the events
