// Requests to the public API, within the limits of the server. A request that the server refuses as
// one too many is repeated when it says so. What a page can do without for a while waits if half of
// the allowed requests are used up, so that all pages of an address get their prices first.

const deadline = 10_000;
const notAdvised = 10_000; // ms to wait after a 429 without Retry-After

/** By performance.now(): until when requests are refused, and until when those for later wait. */
let refusedUntil = 0;
let savedUntil = 0;

/** Returns the ms for which the server takes no more requests; 0 = it does. */
export function refusedFor() {
  return Math.max(0, refusedUntil - performance.now());
}

/**
 * @param {string} method
 * @param {string} path
 * @param {AbortSignal} [signal]
 */
export async function call(method, path, signal) {
  const timeout = AbortSignal.timeout(deadline);
  const answer = await fetch(path, {
    method,
    credentials: 'same-origin',
    cache: 'no-store',
    headers: { Accept: 'application/json' },
    signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
  });
  note(answer);
  return answer;
}

/** @param {Response} answer */
function note(answer) {
  const now = performance.now();
  if (answer.status === 429) refusedUntil = now + retryAfter(answer);
  const policy = answer.headers.get('RateLimit-Policy') ?? '';
  const state = answer.headers.get('RateLimit') ?? '';
  const [quota, window, left] = [/;q=(\d+)/.exec(policy), /;w=(\d+)/.exec(policy), /;r=(\d+)/.exec(state)].map((m) => Number(m?.[1]));
  if (left < quota / 2) savedUntil = now + window * 500 * (1 + Math.random()); // of the shortest window, which comes first
}

/**
 * Returns the ms after which a refused request may be repeated.
 *
 * @param {Response} answer
 */
export function retryAfter(answer) {
  return Number(answer.headers.get('Retry-After')) * 1000 || notAdvised;
}

/**
 * Gets JSON that the page can wait for. It throws an Error with the status of any answer but 200 and 429.
 *
 * @param {string} path
 * @param {AbortSignal} [signal]
 * @returns {Promise<any>}
 */
export async function get(path, signal) {
  for (;;) {
    const wait = Math.max(refusedUntil, savedUntil) - performance.now();
    if (wait > 0) await pause(wait, signal);
    signal?.throwIfAborted();
    const answer = await call('GET', path, signal);
    if (answer.status === 429) continue;
    if (!answer.ok) throw Object.assign(new Error(`${path} answered ${answer.status}`), { status: answer.status });
    return answer.json();
  }
}

/**
 * @param {number} ms
 * @param {AbortSignal} [signal]
 */
function pause(ms, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal?.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve(undefined);
    }, { once: true });
  });
}
