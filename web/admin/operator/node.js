// The calls to the node, and their schedule.

/** The node refused a call. */
export class Refusal extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

/** The node did not answer, or not in time. */
export class Silence extends Error {}

const patience = 35_000; // some calls scan all of Redis, for at most 30 s

/**
 * Calls the node with the token. It throws a Refusal or a Silence.
 *
 * @param {string} token
 * @param {string} path
 * @param {{method?: string, text?: boolean, signal?: AbortSignal, timeout?: number}} [how]
 * @returns {Promise<any>} Its JSON, or its text.
 */
export async function call(token, path, { method = 'GET', text = false, signal, timeout = patience } = {}) {
  const signals = [AbortSignal.timeout(timeout)];
  if (signal) signals.push(signal);
  let answer, body;
  try {
    answer = await fetch(path, {
      method,
      headers: { Authorization: `Bearer ${token}`, Accept: text ? 'text/plain; version=0.0.4' : 'application/json' },
      signal: AbortSignal.any(signals),
      cache: 'no-store',
      credentials: 'omit',
      redirect: 'error',
    });
    body = text && answer.ok ? await answer.text() : await answer.json().catch((err) => {
      if (err instanceof SyntaxError) return null;
      throw err;
    });
  } catch (err) {
    if (signal?.aborted) throw signal.reason;
    throw new Silence(err.name === 'TimeoutError' ? 'it took too long' : 'it cannot be reached');
  }
  if (answer.ok) return body;
  throw new Refusal(answer.status, String(body?.detail ?? body?.title ?? `status ${answer.status}`));
}

/**
 * A beat runs jobs one after another, each when it is due, until stop is called.
 *
 * @typedef {{every: number, run: (signal: AbortSignal) => Promise<void>, next?: number}} Job
 */
export class Beat {
  /** @param {Job[]} jobs @param {(err: Error) => void} failed Receives the error of a job, except after stop. */
  constructor(jobs, failed) {
    this.jobs = jobs;
    this.failed = failed;
    this.stopper = null;
  }

  start() {
    if (this.stopper) return;
    this.stopper = new AbortController();
    for (const job of this.jobs) job.next = 0;
    this.go(this.stopper.signal);
  }

  stop() {
    this.stopper?.abort();
    this.stopper = null;
  }

  /** Makes all jobs due now. */
  hurry() {
    for (const job of this.jobs) job.next = 0;
    this.wake?.();
  }

  async go(signal) {
    while (!signal.aborted) {
      const now = performance.now();
      const job = this.jobs.find((j) => j.next <= now);
      if (!job) {
        await this.pause(Math.min(...this.jobs.map((j) => j.next)) - now, signal);
        continue;
      }
      job.next = now + job.every;
      try {
        await job.run(signal);
      } catch (err) {
        if (!signal.aborted) this.failed(err);
      }
    }
  }

  pause(time, signal) {
    return new Promise((resolve) => {
      const timer = setTimeout(done, time);
      const self = this;
      function done() {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        self.wake = null;
        resolve();
      }
      this.wake = done;
      signal.addEventListener('abort', done);
    });
  }
}
