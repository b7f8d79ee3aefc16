// The sessions of one user.

import { byId, cell, fill, make, say } from '/dom.js';
import { missing, moment } from '/format.js';

export class Sessions {
  /**
   * @param {(path: string) => Promise<any>} get
   * @param {{revoke: (s: any) => void, revokeAll: (user: string, n: number) => void}} act
   */
  constructor(get, act) {
    this.get = get;
    this.act = act;
    this.user = '';
    this.list = [];
    byId('revoke-all').onclick = () => act.revokeAll(this.user, this.list.length);
  }

  /** Shows the sessions of a user, or the error of the call. */
  async look(user) {
    this.user = user;
    byId('user').value = user;
    let list = [];
    let note = '';
    try {
      list = await this.get(`/api/v1/sessions?user_id=${encodeURIComponent(user)}`);
      note = list.length ? `${user} has ${list.length} ${list.length === 1 ? 'session' : 'sessions'}.` : `${user} has no session.`;
    } catch (err) {
      note = `Sessions of ${user}: ${err.message}.`;
    }
    if (user !== this.user) return; // another user was looked up meanwhile
    this.list = list;
    say(byId('sessions-note'), note);
    byId('revoke-all').hidden = list.length === 0;
    byId('sessions').hidden = list.length === 0;
    fill(byId('sessions'), list.map((s) => this.row(s)), '');
  }

  /** Looks up the same user again, if there is one. */
  async again() {
    if (this.user) await this.look(this.user);
  }

  row(s) {
    const button = make('button', { type: 'button', className: 'small', onclick: () => this.act.revoke(s) }, 'Revoke');
    button.setAttribute('aria-label', `Revoke session ${s.session_id.slice(0, 12)} of ${s.user_id}`);
    button.dataset.session = s.session_id;
    return [
      cell(`${s.session_id.slice(0, 12)}…`, { head: true, full: s.session_id, kind: 'code' }),
      cell(s.role),
      cell(moment(s.created_at)),
      cell(moment(s.last_seen_at)),
      cell(moment(s.expires_at)),
      cell(s.address || missing),
      cell(s.agent || missing, { kind: 'cut', full: s.agent }),
      make('td', { className: 'actions' }, button),
    ];
  }
}
