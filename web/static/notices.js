// The texts for the states of the connection.

/** The name of each state. */
export const names = {
  connecting: 'Connecting',
  live: 'Live',
  degraded: 'Degraded',
  closed: 'Market closed',
  stale: 'No live prices',
  waiting: 'Reconnecting',
  offline: 'Offline',
  refused: 'Not connected',
  stopped: 'Signed out',
};

/** The notice while the page waits because the visitor has too many connections. */
export const tooMany = 'You have as many open connections as the server allows. Close another window with prices.';

/** The notice while the server refuses this page's requests. @param {number} seconds */
export const tooOften = (seconds) => `Too many requests. The server takes the next one in ${seconds} s, and this page then goes on automatically.`;

/** How to get prices into a server that has none. */
export const noPrices = 'Connected, but this server has no prices yet. Publish some, for example with “broadcaster feed simulate”, or with POST /api/v1/quotes. They show here as soon as they arrive.';

/**
 * The notices that replace the prices when the connection was refused, by State.why, and the
 * notice for "stopped".
 *
 * @type {Record<string, {title: string, text: string, more: string, button: string}>}
 */
export const gates = {
  guest: {
    title: 'Sign in to see prices',
    text: 'This server sends prices only to visitors who are signed in, and guest sessions are off.',
    more: 'This page has no sign-in form. The application that embeds fxcast signs its users in: it requests a session from the server and sets its token as a cookie in this browser.',
    button: 'Check again',
  },
  ended: {
    title: 'Your session has ended',
    text: 'It has expired or was revoked. Sign in again in the application that you came from.',
    more: '',
    button: 'Try again',
  },
  policy: {
    title: 'The server closed the connection',
    text: 'This page does not reconnect automatically.',
    more: '',
    button: 'Connect again',
  },
  stopped: {
    title: 'Signed out',
    text: 'The session has ended on the server, and this page receives no more prices.',
    more: '',
    button: 'Start again',
  },
};
