// A page of a site on another domain than fxcast. The browser does not send fxcast's cookie from here,
// so the page gets a ticket from its own site before each connect.

import { connect } from '@fxcast/client';
import { useState } from 'react';
import { createRoot } from 'react-dom/client';
import { useConnection, useQuotes } from './useQuotes.js';

const fx = connect({
  url: document.documentElement.dataset.fxcast,
  async ticket() {
    const answer = await fetch('/ticket', { method: 'POST' });
    if (answer.ok) return (await answer.json()).ticket;
    // The client needs the status and the advice: 401 is final, after 429 and 503 it waits.
    const retryAfterMs = Number(answer.headers.get('Retry-After')) * 1000 || undefined;
    throw Object.assign(new Error(`no ticket: ${answer.status}`), { status: answer.status, retryAfterMs });
  },
});

function Prices({ symbols }) {
  const quotes = useQuotes(fx, symbols, { maxRate: 4 });
  return (
    <table>
      <tbody>
        {Object.values(quotes).map(({ symbol, bid, ask, status }) => (
          <tr key={symbol} className={status}><th>{symbol}</th><td>{bid}</td><td>{ask}</td></tr>
        ))}
      </tbody>
    </table>
  );
}

function Page() {
  const state = useConnection(fx);
  const [base, setBase] = useState('EUR');
  return (
    <>
      <p id="state">{state}</p>
      <select value={base} onChange={(event) => setBase(event.target.value)}>
        {['EUR', 'GBP', 'USD'].map((code) => <option key={code}>{code}</option>)}
      </select>
      <Prices symbols={[`${base}/*`]} />
    </>
  );
}

createRoot(document.getElementById('page')).render(<Page />);
