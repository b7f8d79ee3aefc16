// The words for the states of the connection.

/** What each state is called. */
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

/**
 * What stands in place of the prices when there are none to wait for, by why the
 * connection was refused, or "stopped".
 *
 * @type {Record<string, {title: string, text: string, more: string, button: string}>}
 */
export const gates = {
  guest: {
    title: 'Sign in to see prices',
    text: 'This server sends prices only to visitors who are signed in, and it does not hand out guest sessions.',
    more: 'There is no sign-in form here. The application that embeds fxcast signs its users in: it asks the server for a session and gives the token to this browser as a cookie.',
    button: 'Check again',
  },
  ended: {
    title: 'Your session has ended',
    text: 'It expired, or it was revoked. Sign in again in the application you came from.',
    more: '',
    button: 'Try again',
  },
  'too-many': {
    title: 'Too many connections',
    text: 'This user has as many connections open as the server allows. Close another window with prices, then try again.',
    more: '',
    button: 'Try again',
  },
  policy: {
    title: 'The server closed the connection',
    text: 'It will not be opened again by itself.',
    more: '',
    button: 'Connect again',
  },
  stopped: {
    title: 'Signed out',
    text: 'The session has ended on the server, and no prices are received any more.',
    more: '',
    button: 'Start again',
  },
};
