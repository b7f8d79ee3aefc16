// The session calls of the public API. The session itself is a cookie that
// scripts cannot read.

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
 * Makes sure that there is a session: the current one, or else a new guest session. The guest call
 * answers with either. A request for the current session would log an error in the console of every
 * new visitor. It throws an Error with the status and the server's advice if there is none.
 */
export async function signIn() {
  const answer = await call('POST', 'api/v1/session/guest');
  if (answer.ok) return;
  const status = [401, 404].includes(answer.status) ? 403 : answer.status; // guest sessions are off
  const seconds = Number(answer.headers.get('Retry-After')) || (status === 429 ? 10 : undefined);
  throw Object.assign(new Error(`no guest session: ${status}`), { status, retryAfterMs: seconds && seconds * 1000 });
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
