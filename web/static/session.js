// The session of the page. The session itself is a cookie that scripts cannot read; the browser's
// storage has the time at which it ends, so that further tabs need not ask for one.

import { call, retryAfter } from './api.js';
import { load, save } from './settings.js';

const margin = 30_000; // ms that a session must still last
let trusted = true; // until the first attempt, that time is believed

/**
 * Makes sure that there is a session: the current one, or else a new guest session. The guest call
 * answers with either. A request for the current session would log an error in the console of every
 * new visitor. It throws an Error with the status and the server's advice if there is none.
 */
export async function signIn() {
  const known = trusted && load('session', 0) > Date.now() + margin;
  trusted = false;
  if (known) return;
  const answer = await call('POST', 'api/v1/session/guest');
  if (answer.ok) return;
  const status = [401, 404].includes(answer.status) ? 403 : answer.status; // guest sessions are off
  const retryAfterMs = status === 429 || answer.headers.has('Retry-After') ? retryAfter(answer) : undefined;
  throw Object.assign(new Error(`no guest session: ${status}`), { status, retryAfterMs });
}

/**
 * Notes when the session ends, or that there is none.
 *
 * @param {string} [expires] RFC 3339
 */
export function noteSession(expires) {
  save('session', expires ? Date.parse(expires) || 0 : 0);
}

/** Ends the session on the server. Returns true if the session has certainly ended. */
export async function signOut() {
  noteSession();
  try {
    const answer = await call('DELETE', 'api/v1/session');
    return answer.ok || answer.status === 401;
  } catch {
    return false;
  }
}
