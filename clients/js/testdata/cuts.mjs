// Clients that are cut again and again, for a test that cuts them: cuts.mjs TOKEN SYMBOL… -- URL…
//
// Each URL gets a client in mode all. The line on standard input has the last seq of each symbol. When
// every client has them, one line of JSON per client is printed: the ticks that it received, and its gaps.

import { once } from 'node:events';
import { createInterface } from 'node:readline';
import WebSocket from 'ws';
import { connect } from '../src/index.js';

const [token, ...rest] = process.argv.slice(2);
const symbols = rest.slice(0, rest.indexOf('--'));
const patience = 90_000;

class Counting {
  connects = 0;
  gaps = [];
  symbols = Object.fromEntries(symbols.map((symbol) => [symbol, null]));
  moved = () => {};

  constructor(url) {
    this.fx = connect({ url, token, WebSocket });
    this.fx.addEventListener('state', ({ detail }) => { this.connects += detail.state === 'live'; });
    this.fx.addEventListener('gap', ({ detail }) => this.gaps.push(JSON.stringify(detail)));
    this.fx.subscribe(symbols, { mode: 'all' }, ({ symbol, seq }) => {
      const s = (this.symbols[symbol] ??= { first: seq, last: seq - 1, count: 0, ascending: true });
      s.ascending &&= seq === s.last + 1;
      s.last = seq;
      s.count++;
      this.moved();
    });
  }

  async reach(last) {
    while (!symbols.every((symbol) => this.symbols[symbol]?.last >= last[symbol])) {
      await new Promise((resolve) => { this.moved = resolve; });
    }
  }
}

const clients = rest.slice(rest.indexOf('--') + 1).map((url) => new Counting(url));
const [line] = await once(createInterface(process.stdin), 'line');
const last = JSON.parse(line);
await Promise.race([Promise.all(clients.map((client) => client.reach(last))), new Promise((resolve) => { setTimeout(resolve, patience).unref(); })]);
for (const { connects, gaps, symbols: seen } of clients) console.log(JSON.stringify({ connects, gaps, symbols: seen }));
process.exit();
