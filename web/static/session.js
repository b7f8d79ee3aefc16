// The session calls of the public API. The session itself is a cookie that
// scripts cannot read.

/**
 * @typedef {object} SignIn
 * @property {'ok'|'forbidden'|'limited'|'failed'} result failed: try again later
 * @property {string} [role]
 * @property {number} [retryAfterMs] with limited
 */

const deadline = 10_000;

/**
 * @param {string} method
 * @param {string} path
 */
export function call(method, path) {
  return fetch(path, {
    method,
    credentials: 'same-origin',
    cache: 'no-store',
    headers: { Accept: 'application/json' },
    signal: AbortSignal.timeout(deadline),
  });
}

/**
 * Returns the current session, or else a new guest session. The guest call answers with either. A
 * request for the current session would log an error in the console of every new visitor.
 *
 * @returns {Promise<SignIn>}
 */
export async function signIn() {
  try {
    const answer = await call('POST', 'api/v1/session/guest');
    if (answer.ok) return { result: 'ok', role: (await answer.json()).role };
    if ([401, 403, 404].includes(answer.status)) return { result: 'forbidden' };
    return refused(answer);
  } catch {
    return { result: 'failed' }; // no answer in time, or an unreadable one
  }
}

/** Ends the session on the server. Returns true if the session has certainly ended. */
export async function signOut() {
  try {
    const answer = await call('DELETE', 'api/v1/session');
    return answer.ok || answer.status === 401;
  } catch {
    return false;
  }
}

/**
 * @param {Response} answer
 * @returns {SignIn}
 */
function refused(answer) {
  if (answer.status !== 429) return { result: 'failed' };
  const seconds = Number(answer.headers.get('Retry-After'));
  return { result: 'limited', retryAfterMs: (seconds > 0 ? seconds : 10) * 1000 };
}
