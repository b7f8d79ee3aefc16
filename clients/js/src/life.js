// What happens to a page: it loses the network, is hidden, sleeps, and is kept aside (bfcache).

/**
 * @param {object} on
 * @param {() => void} on.wake the network or the visitor is back
 * @param {() => void} on.suspend the page may be kept aside, where a connection must not stay open
 * @param {() => void} on.resume the page is back
 * @returns {() => void} ends the watch
 */
export function watchPage({ wake, suspend, resume }) {
  const { document } = globalThis;
  const watch = new AbortController();
  if (document) {
    const listen = (/** @type {EventTarget} */ target, /** @type {string} */ type, /** @type {(event: any) => void} */ f) =>
      target.addEventListener(type, f, { signal: watch.signal });
    listen(globalThis, 'online', wake);
    listen(globalThis, 'pagehide', (event) => event.persisted && suspend());
    listen(globalThis, 'pageshow', (event) => event.persisted && resume());
    listen(document, 'visibilitychange', () => document.visibilityState === 'visible' && wake());
  }
  return () => watch.abort();
}
