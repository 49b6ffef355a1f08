// Where the provider keeps its grants and tokens: a map without the limit of 1,000 entries that the library's own has, so that
// long tests do not lose a session by eviction. With a file, what it has answered for outlives it, even a SIGKILL.

import { closeSync, existsSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';

const records = new Map();
const byGrant = new Map();
// Whose grants were ended before their time, and when.
const ended = [];
let file;

const now = () => Math.floor(Date.now() / 1000);

// Keeps everything in `path` from now on, after what is there.
export function keepIn(path) {
  // The end of the file may be half a line: what was not written was not answered.
  const lines = existsSync(path) ? readFileSync(path, 'utf8').split('\n').slice(0, -1) : [];
  for (const line of lines) apply(...JSON.parse(line));
  const fresh = openSync(`${path}.new`, 'w');
  const write = (entry) => writeSync(fresh, `${JSON.stringify(entry)}\n`);
  for (const [key, { payload, until }] of records) {
    if (until === null || until > now()) write(['upsert', key, payload, until]);
  }
  for (const end of ended) write(['ended', end]);
  closeSync(fresh);
  renameSync(`${path}.new`, path);
  file = openSync(path, 'a');
}

// Whose grants were ended before their time, the same person once for each.
export const endedGrants = () => ended;

// Ends all grants of a person, as an administrator of the provider does.
export function endGrantsOf(account) {
  const grants = new Set();
  for (const { payload } of records.values()) if (payload.accountId === account && payload.grantId) grants.add(payload.grantId);
  for (const grant of grants) change('revoke', grant);
}

function change(...entry) {
  apply(...entry);
  if (file !== undefined) writeSync(file, `${JSON.stringify(entry)}\n`);
}

function apply(what, key, payload, until) {
  if (what === 'upsert') {
    records.set(key, { payload, until });
    if (payload.grantId && !key.startsWith('Session:')) {
      if (!byGrant.has(payload.grantId)) byGrant.set(payload.grantId, new Set());
      byGrant.get(payload.grantId).add(key);
    }
  } else if (what === 'consume') {
    if (records.has(key)) records.get(key).payload.consumed = payload;
  } else if (what === 'destroy') {
    records.delete(key);
  } else if (what === 'ended') {
    ended.push(key);
  } else {
    const keys = [...(byGrant.get(key) ?? [])];
    const account = keys.map((it) => records.get(it)?.payload.accountId).find((it) => it);
    if (account) ended.push(account);
    for (const it of keys) records.delete(it);
    byGrant.delete(key);
  }
}

export class MemoryAdapter {
  constructor(model) {
    this.model = model;
  }

  key(id) {
    return `${this.model}:${id}`;
  }

  async upsert(id, payload, expiresIn) {
    change('upsert', this.key(id), payload, expiresIn === undefined ? null : now() + expiresIn);
  }

  async find(id) {
    const record = records.get(this.key(id));
    return record && (record.until === null || record.until > now()) ? record.payload : undefined;
  }

  async findByUid(uid) {
    for (const [key, record] of records) {
      if (key.startsWith('Session:') && record.payload.uid === uid) return record.payload;
    }
    return undefined;
  }

  async findByUserCode(userCode) {
    for (const [key, record] of records) {
      if (key.startsWith('DeviceCode:') && record.payload.userCode === userCode) return record.payload;
    }
    return undefined;
  }

  async consume(id) {
    change('consume', this.key(id), now());
  }

  async destroy(id) {
    change('destroy', this.key(id));
  }

  // Called once for each kind of token that hangs on the grant: the first call ends all of them.
  async revokeByGrantId(grantId) {
    change('revoke', grantId);
  }
}
