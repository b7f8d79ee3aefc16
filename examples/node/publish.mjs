// Publishes the quotes that it reads, one a line: SYMBOL BID ASK.
//
//   echo "EUR/USD 1.08501 1.08513" | FXCAST_URL=http://127.0.0.1:8080 PUBLISH_TOKEN=… node publish.mjs
//
// It sends what has come together in one request, prints each quote that is refused, and exits with 0
// if all were accepted.

const { FXCAST_URL, PUBLISH_TOKEN } = process.env;
const most = 1000; // quotes a request

/** Publishes some lines, and returns how many were refused. */
async function publish(lines) {
  const quotes = lines.map((line) => {
    const [symbol, bid, ask] = line.split(/\s+/);
    return { symbol, bid, ask };
  });
  const answer = await fetch(`${FXCAST_URL}/api/v1/quotes`, {
    method: 'POST', body: JSON.stringify(quotes), signal: AbortSignal.timeout(10_000),
    headers: { Authorization: `Bearer ${PUBLISH_TOKEN}`, 'Content-Type': 'application/json' },
  });
  if (!answer.ok) throw new Error(`publish: ${answer.status} ${await answer.text()}`);
  const { rejected } = await answer.json();
  for (const { index, reason } of rejected) console.error(`${lines[index]} is refused: ${reason}`);
  return rejected.length;
}

let refused = 0;
let rest = '';
for await (const chunk of process.stdin.setEncoding('utf8')) {
  const lines = (rest + chunk).split('\n');
  rest = lines.pop();
  const due = lines.map((line) => line.trim()).filter(Boolean);
  while (due.length) refused += await publish(due.splice(0, most));
}
if (rest.trim()) refused += await publish([rest.trim()]);
process.exitCode = refused ? 1 : 0;
