// The lists: the memory and the slow commands of Redis, and limited subjects.

import { byId, cell, fill, say } from '/dom.js';
import { bytes, count, missing, moment, percent, seconds } from '/format.js';

/** @param {any} m The answer of /api/v1/redis/memory. */
export function showMemory(m) {
  const { used_bytes: used, max_bytes: max } = m;
  const part = used !== null && max > 0 ? used / max : null;
  say(byId('memory-used'), used === null && m.kinds === null ? '' : used === null ? missing : max === null ? `${bytes(used)}, the limit is ${missing}`
    : max === 0 ? `${bytes(used)}, no limit is set` : `${bytes(used)} of ${bytes(max)}, ${percent(part)}`);
  byId('memory-bar').querySelector('.part').setAttribute('width', String(Math.min(100, 100 * (part ?? 0))));
  byId('memory-bar').classList.toggle('none', part === null);
  byId('memory-bar').classList.toggle('high', part >= 0.9);
  const kinds = m.kinds ?? [];
  byId('memory').closest('.panel').classList.toggle('folded', m.kinds === null);
  fill(byId('memory'), kinds.map((k) => [
    cell((k.kind + (k.namespace ? ` · ${k.namespace}` : '')).replaceAll('_', ' '), { head: true }),
    cell((m.complete ? '' : '≈ ') + count(k.keys), { kind: 'n' }),
    cell(bytes(k.bytes), { kind: 'n' }),
    cell(k.error_bytes === 0 ? 'exact' : bytes(k.error_bytes), { kind: 'n', full: `${count(k.sampled)} of these keys were measured` }),
  ]), m.kinds === null ? `By kind of key: ${m.missing || missing}.` : 'There are no keys.');
  say(byId('memory-note'), used === null && m.kinds === null ? missing : `as of ${moment(new Date())}` + (m.silent?.length ? `, without ${m.silent.join(', ')}` : ''));
}

/** @param {any[] | null} entries The answer of /api/v1/redis/slowlog; null if the server has none. */
export function showSlow(entries) {
  fill(byId('slow'), (entries ?? []).map((e) => [
    cell(moment(e.at), { head: true }),
    cell(seconds(e.duration_us / 1e6), { kind: 'n' }),
    cell(e.command, { kind: 'code cut', full: e.command }),
    cell(e.client_name || e.client || missing, { full: e.client }),
  ]), entries ? 'No command was slow.' : `The slow log is ${missing}.`);
  byId('slow').closest('.panel').classList.toggle('folded', !entries);
  say(byId('slow-note'), entries ? `${entries.length} shown, as of ${moment(new Date())}` : missing);
}

/** @param {any[]} list The answer of /api/v1/redis/rate-limit/offenders. */
export function showOffenders(list) {
  fill(byId('offenders'), list.map((o) => [
    cell(o.subject, { head: true, kind: 'code cut', full: o.subject }),
    cell(count(o.refused), { kind: 'n', full: o.at_most_over > 0 ? `at most ${count(o.at_most_over)} too high` : '' }),
  ]), 'No subject was refused lately.');
}

/** Marks these lists as older than the loss of Redis. */
export function withoutRedis() {
  for (const id of ['memory-note', 'slow-note']) {
    const note = byId(id);
    if (!note.textContent.includes('lost')) say(note, `Redis is lost${note.textContent ? `; ${note.textContent}` : ''}`);
  }
  for (const id of ['memory', 'slow', 'rejected', 'offenders']) {
    if (byId(id).tBodies[0].rows.length === 0) fill(byId(id), [], 'Not while Redis is lost.');
  }
}
