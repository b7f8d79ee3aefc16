// The addresses of a server, and how a client proves who it is.

/**
 * Returns the server's base address over HTTP, which ends with a slash, from any of its forms:
 * https://host/, wss://host/ws, or a path relative to the page.
 *
 * @param {string|URL|undefined} url
 */
export function baseOf(url) {
  const page = globalThis.document?.baseURI;
  /** @type {URL} */
  let base;
  try {
    base = new URL(url ?? '.', page);
  } catch {
    throw new TypeError(`url: want the address of the server, such as wss://host/ws, not ${url}`);
  }
  const scheme = /^(ws|http)(s?):$/.exec(base.protocol);
  if (!scheme) throw new TypeError('url: want ws, wss, http or https');
  const path = base.pathname.replace(/\/ws$/, '/').replace(/\/?$/, '/');
  return new URL(`http${scheme[2]}://${base.host}${path}`);
}

/**
 * Throws unless the token fits into a header. The message does not have the token.
 *
 * @param {unknown} token
 */
export function checkToken(token) {
  if (token === undefined) return;
  if (/[\r\n]/.test(String(token))) throw new TypeError('token: it has a line break, perhaps from the end of a file');
  if (typeof token !== 'string' || !/^[\x21-\x7e]+$/.test(token)) throw new TypeError('token: want visible ASCII characters without spaces');
}

/**
 * @param {string|undefined} token
 * @returns {Record<string, string>}
 */
export const authorization = (token) => (token === undefined ? {} : { Authorization: `Bearer ${token}` });

/** A connect that was refused by an HTTP answer, or by the application's own sign-in. */
export class Refused extends Error {
  /**
   * @param {string} message
   * @param {number} [status] of the answer
   * @param {number} [retryAfterMs] the server's advice
   */
  constructor(message, status, retryAfterMs) {
    super(message);
    this.status = status;
    this.retryAfterMs = retryAfterMs;
  }
}

/**
 * Returns the error for an HTTP answer that is not a success.
 *
 * @param {string} what
 * @param {number|undefined} status
 * @param {string|null|undefined} header its Retry-After: seconds, or a date
 */
export function refused(what, status, header) {
  const ms = !header ? NaN : /^\s*\d+\s*$/.test(header) ? Number(header) * 1000 : Date.parse(header) - Date.now();
  return new Refused(`${what} answered ${status}`, status, ms >= 0 ? ms : undefined);
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
