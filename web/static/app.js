// The page. It passes quotes from the feed to the board, and changes of the board to the parts that
// draw them.
//
//   Feed ─ quotes ─▶ Board ─ changed instruments, once a frame ─▶ Grid, Focus (Ticket, PriceChart)
//
// No quote is drawn directly, so a burst of quotes costs one frame.

import { Alerts } from './alerts.js';
import { refusedFor } from './api.js';
import { Board } from './board.js';
import { Catalog } from './catalog.js';
import { bindColors, bindFilter, choice } from './controls.js';
import { bindAlerts, bindLists } from './dialogs.js';
import { Diagnostics } from './diagnostics.js';
import { Feed } from './feed.js';
import { Focus } from './focus.js';
import { Frames } from './frames.js';
import { Grid } from './grid.js';
import { Lists } from './lists.js';
import { gates } from './notices.js';
import { signOut } from './session.js';
import { load, save } from './settings.js';
import { bindSheet } from './sheet.js';
import { setText, StatusLine } from './status.js';

/** @param {string} id */
const at = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

const board = new Board();
const frames = new Frames(draw);
const catalog = new Catalog((list) => board.describe(list));
const feed = new Feed({ state: showState, quote: receive, status: setStatus, day: setDay, gap: () => board.counters.gaps++, message: readMessage, error: (text) => { diagnostics.error = text; } });
const diagnostics = new Diagnostics(board, feed);
const grid = new Grid(/** @type {HTMLTableElement} */ (at('grid')), at('scroller'), at('empty'), choose);
const focus = new Focus(feed, () => frames.request(), (text) => { diagnostics.error = text; });
const status = new StatusLine(board, feed, () => focus.chosen);

const lists = new Lists();
const alerts = new Alerts((text) => {
  setText('alerted-text', text);
  at('alerted').hidden = false;
});

let wanted = lists.symbol || load('symbol', 'EUR/USD');
let standIn = ''; // the symbol shown while the wanted one has no price

// What the feed sends.

/** @param {import('./feed.js').Quote} q */
function receive(q) {
  board.take(q);
  alerts.check(q);
  diagnostics.arrived(q.ts);
  frames.request();
}

/**
 * @param {string} symbol
 * @param {string} word
 */
function setStatus(symbol, word) {
  board.setStatus(symbol, word);
  frames.request();
}

/** @param {import('./board.js').Day} day */
function setDay(day) {
  board.setDay(day);
  at('grid').dataset.day = 'true'; // shows its columns
  frames.request();
}

/** @param {import('./feed.js').Message} m */
function readMessage(m) {
  if (m.type === 'ack' && typeof m.max_rate === 'number') diagnostics.rate = m.max_rate === 0 ? 'every tick' : `${m.max_rate} per second`;
}

// Drawing.

let second = 0; // of the server's clock, the last one that was shown
let late = 0; // the timer that shows the next one if no frame comes
const lateness = 300; // ms

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
  if (focus.chosen && changed.has(focus.chosen)) focus.draw();
  if (Math.floor(feed.serverNow() / 1000) !== second) eachSecond();
}

/** Shows what changes with time, together with the first prices of a second. */
function eachSecond() {
  const now = feed.serverNow();
  second = Math.floor(now / 1000);
  clearTimeout(late);
  late = setTimeout(eachSecond, (second + 1) * 1000 + lateness - now);
  setText('clock', `${new Date(now).toISOString().slice(11, 19)} UTC`);
  grid.drawAges(now);
  focus.drawAge();
  if (refusedFor() > 0) diagnostics.error = 'too many requests';
  diagnostics.draw();
  status.showEmptiness();
  status.show();
  if (feed.state.name === 'live' && board.instruments.size > 0 && !document.hidden) catalog.refresh(board.instruments.keys());
}

/** @param {string} symbol */
function choose(symbol) {
  if (symbol !== standIn) {
    wanted = symbol;
    save('symbol', symbol);
    lists.choose(symbol);
  }
  const chosen = board.instruments.get(symbol);
  if (!chosen) return;
  focus.choose(chosen);
  status.showTitle();
}

/** @param {import('./feed.js').State} state */
function showState(state) {
  status.show();
  if (state.name === 'live') focus.complete();
}

// Controls.

const rates = ['1', '4', '10', '0'];
let rate = load('rate', '4');
if (!rates.includes(rate)) rate = '4';
choice('rate', rate, (value) => {
  rate = value;
  save('rate', value);
  feed.subscribe(Number(rate));
});
choice('interval', focus.interval, (value) => focus.setInterval(value));
bindFilter(grid);
bindLists(lists, grid, (symbol) => {
  wanted = symbol;
  grid.select(symbol);
});
bindAlerts(alerts, () => focus.chosen);
bindSheet(() => grid.visible().flatMap((tr) => board.instruments.get(tr.dataset.symbol ?? '') ?? []));
bindColors(() => focus.chart.retheme());

at('retry').addEventListener('click', () => feed.retryNow());
/** Until it resolves, an answer that deletes the session's cookie may be under way. */
let signingOut = Promise.resolve(true);
at('gate-button').addEventListener('click', async () => {
  await signingOut;
  status.leaving = false;
  feed.start();
});
at('sign-out').addEventListener('click', async () => {
  status.leaving = true; // the server closes the socket with 4001 before it answers
  feed.stop();
  board.clear();
  frames.request();
  gates.stopped.more = '';
  signingOut = signOut();
  if (await signingOut) return;
  gates.stopped.more = 'The server could not be reached, so the session has not ended. It ends when it expires.';
  status.show();
});

feed.subscribe(Number(rate));
feed.start();
eachSecond();
