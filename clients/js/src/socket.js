// A WebSocket, in browsers and in Node.

import { authorization, refused } from './address.js';
import { maxMessage } from './message.js';

/**
 * @typedef {object} Ended how a connection, or the attempt to make one, ended
 * @property {number} [code] close code, if there was a close frame
 * @property {string} [message]
 * @property {number} [status] of the HTTP answer that refused it
 * @property {number} [retryAfterMs] the server's advice
 * @property {boolean} [fault] the server broke the protocol, as the message names
 *
 * @typedef {object} On
 * @property {(data: any) => void} message
 * @property {(end: Ended) => void} end called once, and not after close
 *
 * @typedef {object} Line a connection to the server
 * @property {boolean} [stream] commands are not possible
 * @property {string} protocol
 * @property {(text: string) => boolean} send returns whether the text was accepted
 * @property {(dead?: boolean) => Promise<void>} close resolves once the connection has ended, or as good as
 */

/**
 * Reports whether a WebSocket class is that of the package ws, which takes headers and shows refusals.
 *
 * @param {any} Socket
 */
export const takesHeaders = (Socket) => typeof Socket?.prototype?.terminate === 'function';

/**
 * @param {any} Socket
 * @param {URL} url
 * @param {string[]} protocols
 * @param {string|undefined} token sent as a header, if the class can
 * @param {import('./clock.js').Clock} clock
 * @param {On} on
 * @returns {Line}
 */
export function openSocket(Socket, url, protocols, token, clock, on) {
  const able = takesHeaders(Socket);
  const socket = new Socket(url, protocols, ...(able ? [{ headers: authorization(token), maxPayload: maxMessage, perMessageDeflate: false }] : []));
  socket.binaryType = 'arraybuffer';
  let closed = false;
  let resolve = () => {};
  const finish = (/** @type {Ended} */ end) => closed || on.end(end);
  socket.onmessage = (/** @type {MessageEvent} */ event) => closed || on.message(event.data);
  socket.onclose = (/** @type {CloseEvent} */ event) => {
    resolve();
    finish({ code: event.code, message: event.reason });
  };
  socket.onerror = (/** @type {any} */ { error }) => {
    if (/^WS_ERR/.test(error?.code)) finish({ message: error.message, fault: true });
  };
  if (able) {
    socket.on('unexpected-response', (/** @type {any} */ request, /** @type {any} */ answer) => {
      finish(refused('the server', answer.statusCode, answer.headers['retry-after']));
      request.destroy();
    });
  }
  return {
    get protocol() {
      return socket.protocol;
    },
    send(text) {
      if (socket.readyState !== 1 || socket.bufferedAmount > maxMessage) return false;
      socket.send(text);
      return true;
    },
    close(dead = false) {
      closed = true;
      return new Promise((done) => {
        if (socket.readyState === 3) return done();
        resolve = () => {
          cancel();
          done();
        };
        const cancel = clock.after(2000, () => {
          socket.terminate?.();
          resolve();
        });
        socket.close();
        if (dead) socket.terminate?.();
      });
    },
  };
}
