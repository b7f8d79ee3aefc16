// Runs the scenarios of ../conformance, whose README is the contract of this runner.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import WebSocket from 'ws';
import { connect } from '../src/index.js';

const root = process.env.FXCAST_ROOT ?? fileURLToPath(new URL('../../..', import.meta.url));
const server = spawn('go', ['run', './clients/conformance/server'], { cwd: root, stdio: ['pipe', 'pipe', 'inherit'] });
const address = await new Promise((resolve, reject) => {
  createInterface(server.stdout).once('line', resolve);
  server.once('exit', (code) => reject(new Error(`the scripted server ended with ${code}`)));
});
const scenarios = await (await fetch(`${address}/scenarios`)).json();
after(() => server.stdin.end());

/** Posts JSON and returns the answer. */
async function post(path, body) {
  const answer = await fetch(`${address}${path}`, { method: 'POST', body: JSON.stringify(body) });
  assert.ok(answer.ok, `${path} answered ${answer.status}`);
  return answer.json();
}

/** Reports contains: whether a report has all fields of another. */
const has = (report, fields) => Object.entries(fields).every(([name, value]) => JSON.stringify(report[name]) === JSON.stringify(value));

/** One client and all that it reports. */
class Run {
  reports = [];
  #subs = new Map();
  #read = 0; // reports before the next wait
  #changed = () => {};

  constructor(run) {
    this.run = run;
    this.fx = connect({
      url: run.url, WebSocket, clockScale: run.scale, transport: 'websocket', binary: run.protocol === 'fx.v1.pb',
      ...(run.auth === 'ticket' ? { ticket: () => this.#ticket() } : { token: run.token }),
    });
    this.fx.addEventListener('state', ({ detail }) => this.#report({ report: 'state', ...detail }));
    for (const type of ['gap', 'status', 'day', 'error']) {
      this.fx.addEventListener(type, ({ detail }) => this.#report({ report: type, ...detail }));
    }
  }

  async #ticket() {
    const answer = await fetch(this.run.ticket_url, { method: 'POST', headers: { Authorization: `Bearer ${this.run.token}` } });
    if (!answer.ok) {
      const seconds = answer.headers.get('Retry-After');
      throw Object.assign(new Error(`no ticket: ${answer.status}`), { status: answer.status, retryAfterMs: seconds ? Number(seconds) * 1000 : undefined });
    }
    return (await answer.json()).ticket;
  }

  #report(report) {
    this.reports.push(report);
    this.#changed();
  }

  async #wait(fields) {
    const end = Date.now() + 60_000;
    for (;;) {
      for (; this.#read < this.reports.length; this.#read++) {
        if (has(this.reports[this.#read], fields)) return void this.#read++;
      }
      const left = end - Date.now();
      assert.ok(left > 0, `no report ${JSON.stringify(fields)} in time; the last: ${JSON.stringify(this.reports.slice(-3))}`);
      await Promise.race([new Promise((resolve) => { this.#changed = resolve; }), sleep(left, undefined, { ref: false })]);
    }
  }

  #subscribe({ name, symbols, mode, max_rate: maxRate, day, interval: candles }) {
    if (candles) return this.fx.subscribe(symbols, { candles }, (candle) => this.#report({ report: 'candle', ...candle, open: candle.open === true }));
    return this.fx.subscribe(symbols, { ...(mode && { mode }), ...(maxRate !== undefined && { maxRate }), ...(day && { day }) },
      (quote) => this.#report({ report: 'quote', subscription: name, ...quote, skipped: quote.skipped ?? 0 }));
  }

  async step(step) {
    switch (step.do) {
      case 'wait': return this.#wait(step.for);
      case 'subscribe':
      case 'candles': return void this.#subs.set(step.name, this.#subscribe(step));
      case 'unsubscribe': return this.#subs.get(step.name).close();
      case 'churn':
        for (let i = 0; i < step.times; i++) this.#subscribe(step).close();
        return;
      case 'pause': return sleep(step.ms * this.run.scale);
      case 'close': return this.fx.close();
      default: assert.fail(`unknown step ${step.do}`);
    }
  }
}

const able = ['tickets'];

for (const protocol of ['fx.v1', 'fx.v1.pb']) describe(`conformance in ${protocol}`, { concurrency: 4 }, () => {
  before(() => assert.ok(scenarios.length > 20, `only ${scenarios.length} scenarios`));
  for (const { name, needs } of scenarios) {
    const missing = needs.filter((need) => !able.includes(need));
    test(name, { skip: missing.length > 0 && `needs ${missing}` }, async () => {
      const run = new Run(await post('/runs', { scenario: name, protocol }));
      let failed;
      try {
        for (const step of run.run.client) await run.step(step);
      } catch (e) {
        failed = e;
      }
      run.fx.close();
      const { pass, faults } = await post(`/runs/${run.run.id}/verdict`, { reports: run.reports });
      assert.ok(pass, faults.join('\n'));
      if (failed) throw failed;
    });
  }
});
