// The advice for settings of Redis, and its differences from redis.conf.

import { byId, cell, fill, say } from '/dom.js';
import { count, missing } from '/format.js';

/** @param {any} answer The answer of /api/v1/redis/config; null if the server does not show its settings. */
export function showAdvice(answer) {
  const advice = (answer?.optimise ?? []).map((a) => [a, a.current, a.wanted || 'your choice', a.why, a.how]);
  const drift = (answer?.drift?.differences ?? []).map((d) => [d, d.running, `${d.file} in redis.conf`, d.meaning || 'it differs from redis.conf', d.apply]);
  const known = Boolean(answer?.optimise);
  fill(byId('advice'), [...advice, ...drift].map(([about, current, wanted, why, how]) => [
    cell(about.setting, { head: true, kind: 'code', full: about.node ?? '' }),
    cell(current === '' ? 'empty' : current, { kind: 'code cut', full: current }),
    cell(wanted, { kind: 'code cut', full: wanted }),
    cell(why, { kind: 'why' }),
    cell(how),
  ]), known ? 'Nothing to improve.' : `The settings of this Redis are ${missing}.`);
  byId('advice').closest('.panel').classList.toggle('folded', !known && drift.length === 0);
  say(byId('advice-note'), !known ? missing : advice.length + drift.length === 0 ? 'nothing to improve'
    : `${count(advice.length)} to improve, ${count(drift.length)} unlike redis.conf; broadcaster monitor --optimize --apply makes changes`);
}
