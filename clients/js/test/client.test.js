import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import WebSocket, { WebSocketServer } from 'ws';
import { connect } from '../src/index.js';

const scale = 0.1; // not less: the time for a connect shrinks with it, and machines may be busy
const welcome = { type: 'welcome', protocol: 'fx.v1', limits: { max_symbols: 200, commands_per_second: 10 }, heartbeat_ms: 60_000 };
const quote = (seq, more) => ({ symbol: 'EUR/USD', bid: '1.1', ask: '1.2', ts: '2026-11-22T10:15:00.000000Z', seq, epoch: 'k3f9', ...more });

/** Listens with a handler of requests and one of sockets. */
async function listen(t, onRequest, onSocket) {
  const server = createServer(onRequest);
  if (onSocket) new WebSocketServer({ server }).on('connection', onSocket);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${server.address().port}/`;
}

/** Waits for the event of a client that fits. */
const event = (fx, type, fits = () => true) => new Promise((resolve) => {
  fx.addEventListener(type, ({ detail }) => fits(detail) && resolve(detail));
});
const state = (fx, name) => event(fx, 'state', (detail) => detail.state === name);

const send = (socket, ...messages) => messages.forEach((m) => socket.send(JSON.stringify(m)));

/** A server that grants everything and sends quotes. */
function serve(socket) {
  let seq = 0;
  send(socket, welcome);
  const timer = setInterval(() => seq && send(socket, { type: 'update', data: [quote(++seq)] }), 2);
  socket.on('close', () => clearInterval(timer));
  socket.on('message', (text) => {
    const m = JSON.parse(text);
    send(socket, { type: 'ack', id: m.id, op: m.op, ok: m.symbols ?? [], failed: [], mode: m.mode });
    if (m.op === 'subscribe') send(socket, { type: 'snapshot', data: [quote(++seq)] });
  });
}

test('close() at every moment leaves nothing behind', { timeout: 180_000 }, async (t) => {
  /** What the server does to a connection, at random. */
  const deeds = [serve, (s) => s.terminate(), (s) => s.close(1012), (s) => s.close(4001), (s) => send(s, welcome, { type: 'nonsense' }), (s) => s.send('garbage'), () => {},
    (s) => { send(s, welcome, { type: 'closing', code: 1012, reconnect_after_ms: 100 }); s.close(1012); }];
  const open = new Set();
  const url = await listen(t, (request, answer) => answer.writeHead(request.method === 'POST' ? 201 : 404).end('{"ticket":"t"}'), (socket) => {
    open.add(socket);
    socket.on('close', () => open.delete(socket));
    deeds[Math.floor(Math.random() * deeds.length)](socket);
  });
  for (let i = 0; i < 150; i++) {
    const after = i < 20 ? i / 4 : Math.random() * 40; // ms
    const how = [{}, { token: 'secret' }, { ticket: async () => 't' }, { signIn: () => sleep(2) }][i % 4];
    const fx = connect({ url, WebSocket, clockScale: 0.02, transport: i % 3 ? 'auto' : 'websocket', ...how });
    let closed = 0;
    let late = 0;
    fx.addEventListener('state', ({ detail }) => (detail.state === 'closed' ? closed++ : late += closed));
    for (const type of ['gap', 'status', 'error', 'message']) fx.addEventListener(type, () => { late += fx.state === 'closed' && closed; });
    const sub = fx.subscribe('EUR/USD', { mode: i % 2 ? 'all' : 'latest' }, () => { late += closed; });
    if (i % 5 === 0) fx.addEventListener('error', () => fx.close()); // close within an event
    if (i % 7 === 0) fx.addEventListener('state', ({ detail }) => detail.state === 'live' && fx.close());
    await sleep(after);
    if (i % 2) sub.close();
    fx.close();
    fx.close();
    sub.close();
    fx.retry();
    fx.pace(250);
    assert.equal(fx.send({ op: 'ping' }), false);
    await sleep(3);
    assert.equal(fx.state, 'closed');
    assert.equal(closed, 1, 'closed is reported once');
    assert.equal(late, 0, 'nothing is reported after it');
  }
  for (const end = Date.now() + 60_000; open.size > 0 && Date.now() < end;) await sleep(10);
  assert.equal(open.size, 0, 'sockets that are still open');
});

test('quotes come over the event stream where no WebSocket is let through', { timeout: 60_000 }, async (t) => {
  const asked = [];
  const url = await listen(t, (request, answer) => {
    asked.push(request.url);
    if (!request.url.startsWith('/api/v1/stream')) return answer.writeHead(426).end(); // as behind a proxy without Upgrade
    assert.equal(request.headers.authorization, 'Bearer secret');
    answer.writeHead(200, { 'Content-Type': 'text/event-stream' });
    const event = (m) => answer.write(`id: x\r\ndata: ${JSON.stringify(m)}\r\n\r\n`);
    event(welcome);
    event({ type: 'ack', ok: ['EUR/USD'], failed: [], mode: 'all' });
    if (!request.headers['last-event-id']) {
      event({ type: 'snapshot', data: [quote(7)] });
      event({ type: 'update', data: [quote(8)] });
      return answer.end();
    }
    assert.equal(request.headers['last-event-id'], 'EUR/USD:k3f9:8');
    event({ type: 'resumed', symbol: 'EUR/USD' });
    event({ type: 'update', data: [quote(9)] });
  });
  const fx = connect({ url, token: 'secret', WebSocket, clockScale: scale });
  t.after(() => fx.close());
  const gaps = [];
  fx.addEventListener('gap', ({ detail }) => gaps.push(detail));
  const seqs = [];
  await new Promise((resolve) => fx.subscribe('EUR/USD', { mode: 'all' }, ({ seq }) => {
    seqs.push(seq);
    if (seq === 9) resolve();
  }));
  assert.deepEqual(seqs, [7, 8, 9]);
  assert.deepEqual(gaps, []);
  assert.deepEqual(asked.slice(0, 2), ['/ws', '/ws']);
  assert.equal(asked.at(-1), '/api/v1/stream?symbols=EUR%2FUSD&mode=all');
});

test('another symbol opens the event stream again', { timeout: 60_000 }, async (t) => {
  const url = await listen(t, (request, answer) => {
    const symbols = new URL(request.url, 'http://h').searchParams.get('symbols').split(',');
    answer.writeHead(200, { 'Content-Type': 'text/event-stream' });
    for (const m of [welcome, { type: 'ack', ok: symbols, failed: [] }, { type: 'snapshot', data: symbols.map((symbol) => quote(1, { symbol })) }]) {
      answer.write(`data: ${JSON.stringify(m)}\n\n`);
    }
  });
  const fx = connect({ url, transport: 'stream', clockScale: scale });
  t.after(() => fx.close());
  await new Promise((resolve) => fx.subscribe('EUR/USD', resolve));
  await new Promise((resolve) => fx.subscribe(['GBP/USD'], resolve));
});

test('a token becomes a ticket where the class takes no headers', { timeout: 60_000 }, async (t) => {
  class Plain { // as in a browser
    constructor(url, protocols) {
      const socket = new WebSocket(url, protocols);
      for (const name of ['readyState', 'bufferedAmount', 'protocol']) Object.defineProperty(this, name, { get: () => socket[name] });
      for (const name of ['onopen', 'onmessage', 'onclose', 'onerror', 'binaryType']) Object.defineProperty(this, name, { set: (f) => { socket[name] = f; } });
      this.send = (text) => socket.send(text);
      this.close = () => socket.close();
    }
  }
  const used = [];
  let tickets = 0;
  const url = await listen(t, (request, answer) => {
    assert.equal(`${request.method} ${request.url} ${request.headers.authorization}`, 'POST /api/v1/ws-ticket Bearer secret');
    if (tickets++ === 1) return answer.writeHead(503, { 'Retry-After': '1' }).end();
    answer.writeHead(201).end(JSON.stringify({ ticket: `t&${tickets}` }));
  }, (socket, request) => {
    used.push(new URL(request.url, 'http://h').searchParams.get('ticket'));
    send(socket, welcome);
    if (used.length === 1) socket.close(1012);
  });
  const fx = connect({ url, token: 'secret', WebSocket: Plain, clockScale: scale });
  t.after(() => fx.close());
  await state(fx, 'live');
  await state(fx, 'live');
  assert.deepEqual(used, ['t&1', 't&3']);
});

test('a session that has ended is refused by the ticket, for good', { timeout: 60_000 }, async (t) => {
  const url = await listen(t, (request, answer) => answer.writeHead(401).end());
  class Never {
    constructor() { assert.fail('a socket without a ticket'); }
  }
  const fx = connect({ url, token: 'secret', WebSocket: Never, clockScale: scale });
  const [fault, closed] = await Promise.all([event(fx, 'error'), state(fx, 'closed')]);
  assert.deepEqual([fault.kind, fault.code, closed.reason], ['refused', 401, fault]);
});

test('a later subscription gets the last quote at once, a closed one nothing', { timeout: 60_000 }, async (t) => {
  const url = await listen(t, () => {}, (socket) => {
    send(socket, welcome);
    socket.on('message', (text) => {
      const { id, op, symbols } = JSON.parse(text);
      send(socket, { type: 'ack', id, op, ok: symbols, failed: [] }, { type: 'snapshot', data: [quote(3)] });
    });
  });
  const fx = connect({ url, WebSocket, clockScale: scale });
  t.after(() => fx.close());
  const first = await new Promise((resolve) => fx.subscribe('EUR/USD', resolve));
  fx.subscribe('EUR/USD', () => assert.fail('closed')).close();
  const second = await new Promise((resolve) => fx.subscribe('*', resolve));
  assert.deepEqual([first.seq, second.seq], [3, 3]);
});

test('an alias is served under the name that the server gives it', { timeout: 60_000 }, async (t) => {
  const url = await listen(t, () => {}, (socket) => {
    send(socket, welcome);
    socket.on('message', (text) => {
      const { id, op, symbols } = JSON.parse(text);
      send(socket, { type: 'ack', id, op, ok: symbols.map((s) => (s === 'Gold.r' ? 'XAU/USD' : s)), failed: [] });
      if (op === 'subscribe') send(socket, { type: 'snapshot', data: [quote(1, { symbol: 'XAU/USD' })] });
      else socket.emit('unsubscribed', symbols);
    });
    socket.once('unsubscribed', (symbols) => send(socket, { type: 'message', channel: 'test', data: symbols }));
  });
  const fx = connect({ url, WebSocket, clockScale: scale });
  t.after(() => fx.close());
  let sub;
  const { symbol } = await new Promise((resolve) => { sub = fx.subscribe('Gold.r', resolve); });
  assert.equal(symbol, 'XAU/USD');
  sub.close();
  assert.deepEqual((await event(fx, 'message', (m) => m.type === 'message')).data, ['XAU/USD']);
});

test('errors of the application harm nothing', { timeout: 60_000 }, async (t) => {
  const url = await listen(t, () => {}, serve);
  const fx = connect({ url, WebSocket, clockScale: scale });
  t.after(() => fx.close());
  const thrown = [];
  const uncaught = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException');
  process.on('uncaughtException', (e) => thrown.push(e.message));
  t.after(() => {
    process.removeAllListeners('uncaughtException');
    uncaught.forEach((f) => process.on('uncaughtException', f));
  });
  await new Promise((resolve) => fx.subscribe('EUR/USD', ({ seq }) => {
    if (seq > 3) resolve();
    else throw new Error(`mine ${seq}`);
  }));
  await sleep(1);
  assert.deepEqual(thrown.slice(0, 3), ['mine 1', 'mine 2', 'mine 3']);
  assert.equal(fx.state, 'live');
});

test('options that cannot work', () => {
  for (const [options, want] of [
    [{}, /url/], [{ url: 'h' }, /url/], [{ url: 'ws://h', token: 'a\n' }, /line break/], [{ url: 'ws://h', ticket: 'x' }, /ticket: want a function/],
  ]) {
    assert.throws(() => connect({ WebSocket, ...options }), want);
  }
  if (!globalThis.WebSocket) assert.throws(() => connect({ url: 'ws://h' }), /WebSocket: want that of ws/);
  const fx = connect({ url: 'ws://127.0.0.1:9', WebSocket });
  for (const [symbols, options, want] of [
    [[], {}, /symbols/], ['EUR/USD', { mode: 'some' }, /mode/], ['EUR/USD', { maxRate: -1 }, /maxRate/], [[5], {}, /symbols/],
  ]) {
    assert.throws(() => fx.subscribe(symbols, options, () => {}), want);
  }
  assert.throws(() => fx.subscribe('EUR/USD', {}), /callback/);
  fx.close();
});
