// The event stream, where no WebSocket is let through. It sends the same messages.

import { authorization, refused } from './address.js';
import { maxMessage } from './message.js';

/**
 * @param {URL} url with the subscription
 * @param {string|undefined} token
 * @param {string} position the value of Last-Event-ID, or empty
 * @param {import('./socket.js').On} on
 * @returns {import('./socket.js').Line}
 */
export function openStream(url, token, position, on) {
  const abort = new AbortController();
  const done = run().catch((e) => e).then((end) => {
    if (!abort.signal.aborted) on.end(end);
  });

  async function run() {
    const answer = await fetch(url, {
      headers: {
        Accept: 'text/event-stream',
        ...authorization(token),
        ...(position && { 'Last-Event-ID': position }),
      },
      cache: 'no-store',
      signal: abort.signal,
    });
    if (!answer.ok || !answer.body) {
      answer.body?.cancel().catch(() => {});
      throw refused('the server', answer.status, answer.headers.get('Retry-After'));
    }
    const reader = answer.body.getReader();
    const decoder = new TextDecoder();
    for (let rest = ''; ;) {
      const { value, done } = await reader.read();
      if (done) return {};
      rest += decoder.decode(value, { stream: true });
      const lines = rest.split(/\r\n|\n|\r/);
      rest = lines.pop() ?? '';
      for (const line of lines) {
        if (line.startsWith('data:') && !abort.signal.aborted) on.message(line.slice(5).trimStart());
      }
      if (rest.length > maxMessage) return { fault: true, message: `a message of ${rest.length} bytes` };
    }
  }

  return {
    stream: true,
    protocol: 'fx.v1',
    send: () => false,
    close() {
      abort.abort();
      return done;
    },
  };
}
