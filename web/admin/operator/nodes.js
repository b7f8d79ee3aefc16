// The nodes of the deployment: which of them answer, and how many clients each has.

import { link } from '/address.js';
import { byId, cell, fill, say } from '/dom.js';
import { count, missing } from '/format.js';

/**
 * @param {any} answer The answer of /api/v1/connections.
 * @param {string} here The name of this node; '' before it is known.
 * @param {boolean} reachable Whether Redis is reachable; nodes see each other through it.
 * @returns {string[]} Their names, this node first.
 */
export function showNodes({ nodes, silent }, here, reachable) {
  const names = [...new Set([...Object.keys(nodes), ...silent])].sort((a, b) => (b === here) - (a === here) || (a < b ? -1 : 1));
  const total = Object.values(nodes).reduce((sum, n) => sum + n, 0);
  fill(byId('nodes'), names.map((name) => [
    cell(link(name, { node: name === here ? '' : name }), { head: true, kind: 'cut', full: `Plots of ${name}` }),
    cell(silent.includes(name) ? 'does not answer' : name === here ? 'this node' : 'answers', { kind: silent.includes(name) ? 'bad' : '' }),
    cell(silent.includes(name) ? missing : count(nodes[name]), { kind: 'n' }),
    cell(silent.includes(name) || total === 0 ? '–' : `${Math.round((100 * nodes[name]) / total)} %`, { kind: 'n' }),
  ]), 'No node answered.');
  say(byId('nodes-note'), reachable ? `${count(names.length)} seen` : 'other nodes are not visible while Redis is lost');
  byId('nodes-note').dataset.bad = String(!reachable || silent.length > 0);
  return names;
}
