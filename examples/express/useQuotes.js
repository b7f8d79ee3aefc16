// Hooks for React. One connection, made outside of components, serves all of them.

import { useEffect, useState, useSyncExternalStore } from 'react';

/**
 * Returns the newest quote of each symbol, by symbol, with its status: live, stale or closed. The
 * component renders again at most once a frame.
 *
 * @param {import('@fxcast/client').FxClient} fx
 * @param {string[]} symbols
 * @param {import('@fxcast/client').SubscribeOptions} [options]
 * @returns {Record<string, import('@fxcast/client').Quote>}
 */
export function useQuotes(fx, symbols, { mode = 'latest', maxRate = 0 } = {}) {
  const [quotes, setQuotes] = useState({});
  const names = symbols.join(); // so that a new array with the same symbols does not subscribe again
  useEffect(() => {
    if (!names) return undefined;
    let frame = 0;
    let changed = {};
    const change = (symbol, fields) => {
      changed[symbol] = { ...changed[symbol], ...fields };
      frame ||= requestAnimationFrame(() => {
        const changes = Object.entries(changed);
        [frame, changed] = [0, {}];
        setQuotes((before) => {
          const after = { ...before };
          for (const [name, latest] of changes) {
            if (latest.bid || before[name]) after[name] = { ...before[name], ...latest }; // no status without a quote
          }
          return after;
        });
      });
    };
    const onStatus = ({ detail: { symbol, status } }) => symbol && change(symbol, { status });
    fx.addEventListener('status', onStatus);
    const sub = fx.subscribe(names.split(','), { mode, maxRate }, (quote) => change(quote.symbol, { status: 'live', ...quote }));
    return () => {
      sub.close();
      fx.removeEventListener('status', onStatus);
      cancelAnimationFrame(frame);
      setQuotes({});
    };
  }, [fx, names, mode, maxRate]);
  return quotes;
}

/**
 * Returns the state of the connection.
 *
 * @param {import('@fxcast/client').FxClient} fx
 */
export function useConnection(fx) {
  const [subscribe] = useState(() => (onChange) => {
    fx.addEventListener('state', onChange);
    return () => fx.removeEventListener('state', onChange);
  });
  return useSyncExternalStore(subscribe, () => fx.state);
}
