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
 * Uses the session there is, else asks for a guest's. The guest's call answers
 * with either; asking for the session first would log an error for every new visitor.
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
    return { result: 'failed' }; // no answer in time, or none that could be read
  }
}

/** Ends the session on the server. True when it is known to have ended. */
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
