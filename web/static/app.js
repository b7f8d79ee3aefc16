// The page. It passes quotes from the feed to the board, and changes of the board to the parts that
// draw them.
//
//   Feed ─ quotes ─▶ Board ─ changed instruments, once a frame ─▶ Grid, Ticket, PriceChart
//
// No quote is drawn directly, so a burst of quotes costs one frame.

import { get, refusedFor } from './api.js';
import { Board } from './board.js';
import { Catalog } from './catalog.js';
import { PriceChart } from './chart.js';
import { Diagnostics } from './diagnostics.js';
import { Feed } from './feed.js';
import { Frames } from './frames.js';
import { Grid } from './grid.js';
import { intervals } from './history.js';
import { gates, names, noPrices, tooMany, tooOften } from './notices.js';
import { signOut } from './session.js';
import { load, save } from './settings.js';
import { Ticket } from './ticket.js';

/** @param {string} id */
const at = (id) => /** @type {HTMLElement} */ (document.getElementById(id));
const root = document.documentElement;

const board = new Board();
const ticket = new Ticket(at('ticket'));
const chart = new PriceChart(at('chart'), at('legend'));
const grid = new Grid(/** @type {HTMLTableElement} */ (at('grid')), at('scroller'), at('empty'), choose);
const feed = new Feed({ state: showState, quote: receive, status: setStatus, gap: () => board.counters.gaps++, message: readMessage, error: (text) => { diagnostics.error = text; } });
const diagnostics = new Diagnostics(board, feed);

const rates = ['1', '4', '10', '0'];
let rate = load('rate', '4');
if (!rates.includes(rate)) rate = '4';
let interval = load('interval', 0);
if (!intervals.has(interval)) interval = 0;
let wanted = load('symbol', 'EUR/USD');
let standIn = ''; // the symbol shown while the wanted one has no price
let leaving = false; // signing out

// What the feed sends.

/** @param {import('./feed.js').Quote} q */
function receive(q) {
  board.take(q);
  diagnostics.arrived(q.ts);
  wake();
}

/**
 * @param {string} symbol
 * @param {string} status
 */
function setStatus(symbol, status) {
  board.setStatus(symbol, status);
  wake();
}

/** @param {import('./feed.js').Message} m */
function readMessage(m) {
  if (m.type === 'ack' && typeof m.max_rate === 'number') diagnostics.rate = m.max_rate === 0 ? 'every tick' : `${m.max_rate} per second`;
}

const catalog = new Catalog((list) => board.describe(list));

// Drawing.

const frames = new Frames(draw);

function wake() {
  frames.request();
}

function draw() {
  const { changed } = board;
  board.changed = new Set();
  grid.draw(changed, feed.serverNow());
  if (!grid.selected || grid.selected === standIn) {
    const next = board.instruments.has(wanted) ? wanted : grid.selected || grid.visible()[0]?.dataset.symbol || '';
    standIn = next === wanted ? '' : next;
    if (next && next !== grid.selected) grid.select(next);
  }
  if (board.instruments.size > 0) at('waiting').hidden = true;
  const chosen = board.instruments.get(grid.selected);
  if (chosen && changed.has(chosen)) {
    ticket.draw(chosen);
    ticket.drawAge(chosen, feed.serverNow());
    chart.draw();
  }
}

/** Says that there are no prices, and after a while how to publish some. */
function showEmptiness() {
  const empty = ![...board.instruments.values()].some((i) => i.status !== 'unknown' || i.hasPrice);
  at('waiting').hidden = !empty || board.instruments.size > 0;
  if (!empty) return;
  emptyFor = feed.state.name === 'live' ? emptyFor + 1 : 0;
  setText('waiting', emptyFor > 2 ? noPrices : 'Waiting for the first prices.');
}
let emptyFor = 0; // seconds

function eachSecond() {
  const now = feed.serverNow();
  at('clock').textContent = `${new Date(now).toISOString().slice(11, 19)} UTC`;
  grid.drawAges(now);
  const chosen = board.instruments.get(grid.selected);
  if (chosen) ticket.drawAge(chosen, now);
  diagnostics.draw();
  showEmptiness();
  showState(feed.state);
}

// The chosen symbol.

/** @param {string} symbol */
function choose(symbol) {
  if (symbol !== standIn) {
    wanted = symbol;
    save('symbol', symbol);
  }
  const chosen = board.instruments.get(symbol);
  if (!chosen) return;
  ticket.draw(chosen);
  ticket.drawAge(chosen, feed.serverNow());
  chart.show(chosen, interval);
  at('chart').setAttribute('aria-label', `Chart of ${symbol}`);
  showTitle();
  clearTimeout(seedTimer);
  seedTimer = setTimeout(seed, 250, chosen); // so that rows which the arrow keys pass cause no request
}

let seedTimer = 0;
/** Symbols whose earlier ticks were asked for. */
const seeded = new Set();
let looking = new AbortController();

/**
 * Fetches earlier ticks from the server, once per symbol, and puts them before those received here. A
 * hidden page waits until it is seen.
 *
 * @param {import('./board.js').Instrument} chosen
 */
async function seed(chosen) {
  looking.abort();
  if (seeded.has(chosen.symbol) || feed.state.name !== 'live' || document.hidden) return;
  looking = new AbortController();
  const { signal } = looking;
  seeded.add(chosen.symbol);
  try {
    const list = await get(`api/v1/quotes/${chosen.symbol}/history?limit=500`, signal);
    if (!Array.isArray(list)) return;
    const older = list.filter((q) => chosen.firstSeq === 0 || (q.seq < chosen.firstSeq && (q.epoch === undefined || q.epoch === chosen.epoch)));
    chosen.history = chosen.history.after(older.sort((a, b) => a.seq - b.seq));
    board.changed.add(chosen);
    wake();
  } catch (e) {
    const { status } = /** @type {{ status?: number }} */ (e);
    if (status && status < 500) diagnostics.error = /** @type {Error} */ (e).message;
    else seeded.delete(chosen.symbol); // the next choice of the symbol tries again
  }
}

/** Does what waited while the page was hidden, or until it was connected. */
function seedChosen() {
  const chosen = board.instruments.get(grid.selected);
  if (chosen) seed(chosen);
}
document.addEventListener('visibilitychange', seedChosen);

// The state of the feed.

/** @param {import('./feed.js').State} state */
function showState(state) {
  if (state.name === 'stopped' && !leaving) return; // not started yet
  const connected = state.name === 'live' || state.name === 'degraded';
  if (connected && board.instruments.size > 0 && !document.hidden) catalog.refresh(board.instruments.keys());
  const name = state.name === 'live' ? board.state : state.name;
  const seconds = state.retryAt === undefined ? 0 : Math.max(0, Math.ceil((state.retryAt - performance.now()) / 1000));
  root.dataset.state = name;
  root.dataset.frozen = String(!connected);
  setText('state-name', names[name]);
  setText('state-more', seconds > 0 ? `in ${seconds} s` : '');
  at('retry').hidden = name !== 'waiting' && name !== 'offline' || state.why === 'too-often';
  at('simulated').hidden = !feed.simulated;
  setText('who', feed.role && connected ? feed.role : '');
  at('sign-out').hidden = !connected;

  const any = [...board.instruments.values()].some((i) => i.hasPrice);
  const refused = refusedFor();
  if (refused > 0) diagnostics.error = 'too many requests';
  let strip = '';
  if (name === 'degraded') strip = 'The server has lost its source of prices. The prices shown may be late.';
  else if (name === 'closed') strip = 'The market is closed. These are the last prices.';
  else if (name === 'stale') strip = 'No new prices are arriving. These are the last prices.';
  else if (state.why === 'too-many') strip = tooMany;
  else if (state.why === 'too-often') strip = tooOften(seconds);
  else if (any && !connected && name !== 'stopped') strip = 'Not live. These are the last prices received.';
  else if (refused > 0) strip = `Too many requests. The earlier prices of the chart follow in ${Math.ceil(refused / 1000)} s.`;
  setText('strip', strip);
  at('strip').hidden = strip === '';

  const gate = state.name === 'stopped' ? gates.stopped : state.name === 'refused' ? gates[state.why ?? 'policy'] : undefined;
  at('gate').hidden = gate === undefined;
  at('desk').hidden = gate !== undefined;
  if (gate) {
    at('strip').hidden = true;
    setText('gate-title', gate.title);
    setText('gate-text', gate.text);
    setText('gate-more', state.detail ? `The server's reason: ${state.detail}` : gate.more);
    setText('gate-button', gate.button);
  }
  showTitle();
}

function showTitle() {
  const chosen = board.instruments.get(grid.selected);
  const state = root.dataset.state ?? 'connecting';
  const live = root.dataset.frozen === 'false';
  const price = chosen?.hasPrice && live ? `${chosen.bid} ${chosen.symbol}` : '';
  const late = chosen?.hasPrice && chosen.status !== 'live' ? chosen.status : '';
  const word = live && state !== 'degraded' ? late : names[/** @type {keyof typeof names} */ (state)];
  const title = [price, word, 'fxcast'].filter(Boolean).join(' · ');
  if (document.title !== title) document.title = title;
}

/**
 * @param {string} id
 * @param {string} text
 */
function setText(id, text) {
  const e = at(id);
  if (e.textContent !== text) e.textContent = text;
}

// Controls.

/**
 * @param {string} name of the radio buttons
 * @param {string} value
 * @param {(value: string) => void} onChange
 */
function choice(name, value, onChange) {
  for (const input of /** @type {NodeListOf<HTMLInputElement>} */ (document.querySelectorAll(`input[name="${name}"]`))) {
    input.checked = input.value === value;
    input.addEventListener('change', () => onChange(input.value));
  }
}

choice('rate', rate, (value) => {
  rate = value;
  save('rate', value);
  feed.subscribe(Number(rate));
});

choice('interval', String(interval), (value) => {
  interval = Number(value);
  save('interval', interval);
  at('key').hidden = interval > 0;
  const chosen = board.instruments.get(grid.selected);
  chart.show(chosen, interval);
});
at('key').hidden = interval > 0;

const filter = /** @type {HTMLInputElement} */ (at('filter'));
filter.addEventListener('input', () => grid.filter(filter.value));
filter.addEventListener('keydown', (e) => {
  if (e.key === 'Escape') setFilter('');
  if (e.key !== 'Enter' && e.key !== 'ArrowDown') return;
  e.preventDefault();
  const first = grid.visible()[0]?.dataset.symbol;
  if (first) grid.select(first, true);
});
at('clear-filter').addEventListener('click', () => {
  setFilter('');
  filter.focus();
});
document.addEventListener('keydown', (e) => {
  if (e.key !== '/' || e.target instanceof HTMLInputElement && e.target.type === 'search') return;
  e.preventDefault();
  filter.focus();
  filter.select();
});

/** @param {string} text */
function setFilter(text) {
  filter.value = text;
  grid.filter(text);
}

at('retry').addEventListener('click', () => feed.retryNow());
/** Until it resolves, an answer that deletes the session's cookie may be under way. */
let signingOut = Promise.resolve(true);
at('gate-button').addEventListener('click', async () => {
  await signingOut;
  leaving = false;
  feed.start();
});
at('sign-out').addEventListener('click', async () => {
  leaving = true; // the server closes the socket with 4001 before it answers
  feed.stop();
  board.clear();
  wake();
  gates.stopped.more = '';
  signingOut = signOut();
  if (await signingOut) return;
  gates.stopped.more = 'The server could not be reached, so the session has not ended. It ends when it expires.';
  showState(feed.state);
});

const systemDark = matchMedia('(prefers-color-scheme: dark)');

function isDark() {
  return root.dataset.theme ? root.dataset.theme === 'dark' : systemDark.matches;
}

function showTheme() {
  setText('theme', isDark() ? 'Light' : 'Dark');
  at('theme').setAttribute('aria-label', isDark() ? 'Change to the light theme' : 'Change to the dark theme');
  chart.retheme();
}

at('theme').addEventListener('click', () => {
  root.dataset.theme = isDark() ? 'light' : 'dark';
  save('theme', root.dataset.theme);
  showTheme();
});
systemDark.addEventListener('change', showTheme);
showTheme();

setInterval(eachSecond, 1000);
feed.subscribe(Number(rate));
feed.start();
eachSecond();
