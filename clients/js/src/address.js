// The addresses of a server, and the client's proof of identity.

/**
 * Returns the server's base address over HTTP, which ends with a slash, from any of its forms:
 * https://host/, wss://host/ws, or a path relative to the page.
 *
 * @param {string|URL|undefined} url
 */
export function baseOf(url) {
  /** @type {URL|undefined} */
  let base;
  try {
    base = new URL(url ?? '.', globalThis.document?.baseURI);
  } catch {} // as another scheme
  const scheme = /^(ws|http)(s?):$/.exec(base?.protocol ?? '');
  if (!base || !scheme) throw new TypeError(`url: want wss://host/ws, not ${url}`);
  return new URL(`http${scheme[2]}://${base.host}${base.pathname.replace(/(\/ws|\/)?$/, '/')}`);
}

/**
 * Throws unless the token fits into a header. The message does not have the token.
 *
 * @param {unknown} token
 */
export function checkToken(token) {
  if (token === undefined) return;
  if (typeof token !== 'string' || !/^[!-~]+$/.test(token)) throw new TypeError('token: want visible ASCII, no line break');
}

/**
 * @param {string|undefined} token
 * @returns {Record<string, string>}
 */
export const authorization = (token) => (token === undefined ? {} : { Authorization: `Bearer ${token}` });

/**
 * Returns the error for an HTTP answer that is not a success, with its status and the server's advice.
 *
 * @param {string} what
 * @param {number|undefined} status
 * @param {string|null|undefined} header its Retry-After: seconds, or a date
 */
export function refused(what, status, header) {
  const ms = Number(header) * 1000 || Date.parse(header ?? '') - Date.now();
  return Object.assign(new Error(`${what} answered ${status}`), { status, retryAfterMs: ms >= 0 ? ms : undefined });
}

/**
 * Gets a ticket for a bearer token.
 *
 * @param {URL} base
 * @param {string} token
 * @param {AbortSignal} signal
 */
export async function ticketFor(base, token, signal) {
  const answer = await fetch(new URL('api/v1/ws-ticket', base), {
    method: 'POST', credentials: 'omit', headers: authorization(token), signal,
  });
  if (!answer.ok) throw refused('ws-ticket', answer.status, answer.headers.get('Retry-After'));
  return (await answer.json()).ticket;
}
