import assert from 'node:assert/strict';
import { test } from 'node:test';
import { baseOf, checkToken } from '../src/address.js';
import { Backoff } from '../src/backoff.js';
import { parse } from '../src/message.js';
import { Positions } from '../src/positions.js';
import { Subscriptions } from '../src/subscriptions.js';

const quote = (seq, more) => ({ symbol: 'EUR/USD', bid: '1.1', ask: '1.2', ts: '2026-11-22T10:15:00.000000Z', seq, ...more });
const a = { epoch: 'a' };
const b = { epoch: 'b' };

test('gaps', () => {
  const snapshot = { snapshot: true };
  for (const [name, all, steps, want] of [
    ['each follows', false, [[quote(5, a), snapshot], [quote(6)], [quote(9, { skipped: 2 })]], []],
    ['one is missing', false, [[quote(5, a), snapshot], [quote(7)]], ['missing 1']],
    ['skipped is too high', false, [[quote(5, a), snapshot], [quote(7, { skipped: 2 })]], ['missing 0']],
    ['a new epoch', false, [[quote(5, a), snapshot], [quote(1, b)], [quote(2)]], []],
    ['a snapshot that jumps', false, [[quote(5, a), snapshot], [quote(8, a), snapshot], [quote(9)]], []],
    ['a new connection', false, [[quote(5, a)], 'disconnect', [quote(90, a)], [quote(91)]], []],
    ['all: each follows', true, [[quote(5, a), snapshot], [quote(6)]], []],
    ['all: one is missing', true, [[quote(5, a), snapshot], [quote(7)]], ['missing 1']],
    ['all: skipped does not excuse', true, [[quote(5, a), snapshot], [quote(7, { skipped: 1 })]], ['missing 1']],
    ['all: a snapshot that jumps', true, [[quote(5, a), snapshot], [quote(8, a), snapshot]], ['missing 2']],
    ['all: a new connection', true, [[quote(5, a)], 'disconnect', [quote(90, a)]], ['missing 84']],
    ['all: a reset that proves nothing is missing', true, [[quote(5, a)], 'disconnect', [quote(5, a), { snapshot: true, reset: true }]], []],
    ['all: a new epoch', true, [[quote(5, a), snapshot], [quote(1, b)]], ['epoch 0']],
    ['all: the first is a reset', true, [[quote(5, a), { snapshot: true, reset: true }]], ['reset 0']],
  ]) {
    const positions = new Positions();
    const found = [];
    for (const step of steps) {
      if (step === 'disconnect') {
        positions.disconnect();
        continue;
      }
      const { gap } = positions.take({ ...step[0] }, { all, snapshot: false, reset: false, ...step[1] });
      if (gap) found.push(`${gap.reason} ${gap.missing}`);
    }
    assert.deepEqual(found, want, name);
  }
});

test('a tick twice, or an older one, breaks the protocol', () => {
  for (const seq of [5, 4]) {
    const positions = new Positions();
    positions.take(quote(5, a), { all: true });
    assert.throws(() => positions.take(quote(seq), { all: true }), /EUR\/USD: seq \d after 5/);
    positions.resumed('EUR/USD'); // then the server may repeat
    assert.equal(positions.take(quote(seq), { all: true }).fresh, false);
  }
});

test('a lying server cannot fill the memory with symbols', () => {
  const positions = new Positions();
  assert.throws(() => {
    for (let i = 0; i < 30_000; i++) positions.take({ ...quote(1), symbol: `S${i}/USD` }, { all: false });
  }, /too many symbols/);
});

test('frames that are no messages', () => {
  for (const [text, want] of [
    ['nonsense', /not JSON: "nonsense"/],
    ['[1]', /message: \[1\]/],
    ['null', /message: null/],
    ['{"type":5}', /message: type is 5/],
    ['{"type":"update"}', /update: data is undefined/],
    ['{"type":"update","data":[null]}', /update: data is \[null\]/],
    [`{"type":"update","data":[${JSON.stringify(quote(0))}]}`, /quote: seq is 0/],
    [`{"type":"update","data":[${JSON.stringify(quote(1, { bid: 1.1 }))}]}`, /quote: bid is 1.1/],
    [`{"type":"update","data":[${JSON.stringify(quote(1, { bid: '1e9' }))}]}`, /quote: bid is "1e9"/],
    ['{"type":"closing"}', /closing: code is undefined/],
    ['{"type":"ack","ok":[{}]}', /ack: ok is/],
    [' '.repeat(2 << 20), /a message of 2097152 bytes/],
    [new ArrayBuffer(3), /a binary message/],
  ]) {
    assert.throws(() => parse(text, false), want);
  }
  for (const text of ['{"type":"constructor"}', '{"type":"__proto__","data":7}', '{"type":"later","data":7}']) {
    assert.ok(parse(text, false), `${text} is of a type that is unknown, which is no fault`);
  }
});

test('delays', () => {
  const backoff = new Backoff();
  for (let i = 0; i < 20; i++) {
    const delay = backoff.delay(0, 0);
    const low = 200 * 2 ** Math.min(i, 6);
    assert.ok(delay >= low && delay <= Math.min(5 * low, 30_000), `delay ${i} is ${delay}`);
  }
  assert.ok(backoff.delay(0, 1000) >= 1000 && backoff.delay(0, 1000) <= 1100);
  backoff.reset();
  assert.ok(backoff.delay(0, 0) <= 1000);
});

test('ten connects a minute', () => {
  const backoff = new Backoff();
  const connects = [];
  for (let now = 0; connects.length < 100;) {
    now += backoff.blocked(now);
    assert.equal(backoff.blocked(now), 0);
    backoff.count(now);
    connects.push(now);
    now += Math.random() * 3000;
  }
  for (let i = 10; i < connects.length; i++) assert.ok(connects[i] - connects[i - 10] > 59_999);
});

test('addresses', () => {
  for (const [url, want] of [
    ['wss://h/ws', 'https://h/'], ['ws://h:8080/ws', 'http://h:8080/'], ['http://h', 'http://h/'], ['https://h/fx/', 'https://h/fx/'],
    ['https://h/fx/ws?x=1#y', 'https://h/fx/'], ['https://h/fx', 'https://h/fx/'],
  ]) {
    assert.equal(baseOf(url).href, want);
  }
  for (const url of [undefined, 'h', 'ftp://h', '']) assert.throws(() => baseOf(url), /^TypeError: url: /);
});

test('a token that fits into no header', () => {
  assert.throws(() => checkToken('abc\n'), /^TypeError: token: want .*no .*line break/);
  assert.throws(() => checkToken('abc\r\nX: y'), /line break/);
  for (const token of ['', 'a b', 'é', 5, null]) assert.throws(() => checkToken(token), /^TypeError: token: want visible ASCII/);
  assert.doesNotThrow(() => checkToken(undefined));
});

test('symbols are text', () => {
  for (const name of ['', '#news', null, 5, 'x'.repeat(65)]) assert.throws(() => new Subscriptions(() => {}).add([name], {}, () => {}), /^TypeError: symbols/);
});

test('an entry is as strong as those that it hides', () => {
  const all = { mode: 'all' };
  const rate = (maxRate) => ({ maxRate });
  for (const [subscribed, want] of [
    [[['EUR/USD', rate(4)], ['EUR/USD', rate(1)]], { 'EUR/USD': 4 }],
    [[['EUR/USD', rate(4)], ['EUR/USD', {}]], { 'EUR/USD': 1e9 }],
    [[['EUR/USD', rate(4)], ['*', all]], { 'EUR/USD': 2e9, '*': 2e9 }],
    [[['EUR/USD', all], ['*', rate(4)]], { 'EUR/USD': 2e9, '*': 4 }],
    [[['EUR/*', all], ['*/USD', rate(4)]], { 'EUR/*': 2e9, '*/USD': 2e9 }],
    [[['EUR/*', all], ['GBP/*', rate(4)]], { 'EUR/*': 2e9, 'GBP/*': 4 }],
    [[['EUR/*', rate(1)], ['*', rate(4)], ['GBP/USD', rate(2)]], { 'EUR/*': 4, '*': 4, 'GBP/USD': 4 }],
  ]) {
    const subscriptions = new Subscriptions(() => {});
    for (const [symbols, options] of subscribed) subscriptions.add(symbols, options, () => {});
    assert.deepEqual(Object.fromEntries(subscriptions.wanted()), want);
  }
});
