// A site in Express whose users are signed in to fxcast, too, and see prices on its page.
//
//   npm install
//   FXCAST_URL=http://127.0.0.1:8080 SESSIONS=admin FXCAST_ADMIN=http://127.0.0.1:9090 ADMIN_TOKEN=… node site.mjs 8000
//   FXCAST_URL=http://127.0.0.1:8080 SESSIONS=redis REDIS_URL=redis://127.0.0.1:6379 node site.mjs 8000
//
// With the first, sessions are made by fxcast's admin API; with the second, by writing to Redis. fxcast
// needs the site in ALLOWED_ORIGINS, here http://localhost:8000. Sign in as ann, "correct horse". The
// browser keeps the token in a cookie of the site, which scripts cannot read. In your own site you need
// one of the two kinds of sessions, /ticket, and the last two lines of /sign-in and /sign-out.

import { createHash, randomBytes } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import express from 'express';
import { createClient } from 'redis';

const cookie = 'fxcast_token';
const ttl = 3600; // seconds
const deadline = 5000; // ms, for each call
const { FXCAST_URL, FXCAST_ADMIN, ADMIN_TOKEN, REDIS_URL, SESSIONS } = process.env;
const idOf = (token) => createHash('sha256').update(token).digest('hex');

/** Makes and ends sessions of fxcast by its admin API. */
function adminSessions() {
  const call = async (method, path, body) => {
    const answer = await fetch(FXCAST_ADMIN + path, {
      method, body: body && JSON.stringify(body), signal: AbortSignal.timeout(deadline),
      headers: { Authorization: `Bearer ${ADMIN_TOKEN}`, 'Content-Type': 'application/json' },
    });
    const ended = method === 'DELETE' && answer.status === 404; // before this call
    if (!answer.ok && !ended) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
    return answer;
  };
  return {
    async create(user, role) {
      const answer = await call('POST', '/api/v1/sessions', { user_id: user, role, ttl_seconds: ttl });
      return (await answer.json()).token;
    },
    end: (token) => call('DELETE', `/api/v1/redis/session/${idOf(token)}`),
  };
}

/** Makes and ends sessions of fxcast in Redis; docs/sessions.md has the rules. */
async function redisSessions() {
  const redis = createClient({ url: REDIS_URL, disableOfflineQueue: true, commandOptions: { timeout: deadline } });
  redis.on('error', (error) => console.error('redis:', error.message)); // it connects again
  await redis.connect();
  return {
    async create(user, role) {
      const token = randomBytes(32).toString('hex');
      await redis.sAdd(`session:user:${user}`, idOf(token)); // first, so that the user can be signed out everywhere
      await redis.set(`session:${idOf(token)}`, JSON.stringify({ user_id: user, role }), { EX: ttl });
      return token;
    },
    async end(token) {
      await redis.del(`session:${idOf(token)}`);
      await redis.publish('fx:control', JSON.stringify({ type: 'session_revoked', ids: [idOf(token)] })); // closes sockets at once
    },
  };
}

const kinds = { admin: adminSessions, redis: redisSessions };
if (!FXCAST_URL || !kinds[SESSIONS]) throw new Error('set FXCAST_URL, and SESSIONS to admin or redis');
const sessions = await kinds[SESSIONS]();
const { outputFiles: [script] } = await build({ // your own bundler does this
  entryPoints: [fileURLToPath(new URL('page.jsx', import.meta.url))], bundle: true, minify: true, format: 'esm', jsx: 'automatic', write: false,
  define: { 'process.env.NODE_ENV': '"production"' },
});
const passwords = new Map([['ann', 'correct horse']]); // in a real site, hashes in its database

const app = express();
app.use(express.urlencoded({ extended: false }));
app.use((request, response, next) => {
  const from = request.get('Sec-Fetch-Site');
  if (request.method === 'POST' && from && from !== 'same-origin') return response.sendStatus(403); // a form of another site
  request.token = new RegExp(`(?:^|; )${cookie}=([0-9A-Za-z_-]+)`).exec(request.get('Cookie') ?? '')?.[1];
  return next();
});

app.get('/', (request, response) => {
  const body = request.token
    ? '<div id="page"></div><form method="post" action="/sign-out"><button>Sign out</button></form><script type="module" src="/page.js"></script>'
    : '<form method="post" action="/sign-in"><input name="username"><input name="password" type="password"><button>Sign in</button></form>';
  response.type('html').send(`<!doctype html><html lang="en" data-fxcast="${FXCAST_URL}"><title>Prices</title><link rel="icon" href="data:,">${body}</html>`);
});

app.get('/page.js', (request, response) => response.type('js').send(script.text));

app.post('/sign-in', async (request, response) => {
  const { username, password } = request.body ?? {};
  if (!passwords.has(username) || passwords.get(username) !== password) return response.sendStatus(403);
  if (request.token) await sessions.end(request.token);
  const token = await sessions.create(username, 'user');
  return response.cookie(cookie, token, { maxAge: ttl * 1000, httpOnly: true, sameSite: 'lax', secure: request.secure }).redirect('/');
});

app.post('/sign-out', async (request, response) => {
  if (request.token) await sessions.end(request.token);
  return response.clearCookie(cookie).redirect('/');
});

app.post('/ticket', async (request, response) => {
  if (!request.token) return response.sendStatus(401);
  const answer = await fetch(`${FXCAST_URL}/api/v1/ws-ticket`, {
    method: 'POST', headers: { Authorization: `Bearer ${request.token}` }, signal: AbortSignal.timeout(deadline),
  });
  const advice = answer.headers.get('Retry-After');
  if (advice) response.set('Retry-After', advice);
  return response.status(answer.status).type('json').send(await answer.text());
});

const server = app.listen(Number(process.argv[2] ?? 8000), '127.0.0.1', (error) => {
  if (error) throw error;
  console.log(`http://localhost:${server.address().port}`);
});
