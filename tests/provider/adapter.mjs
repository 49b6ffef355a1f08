// Where the provider keeps its grants and tokens: a map without the limit of 1,000 entries that the library's own has, so that
// long tests do not lose a session by eviction.

const records = new Map();
const byGrant = new Map();

const now = () => Math.floor(Date.now() / 1000);

export class MemoryAdapter {
  constructor(model) {
    this.model = model;
  }

  key(id) {
    return `${this.model}:${id}`;
  }

  async upsert(id, payload, expiresIn) {
    const key = this.key(id);
    records.set(key, { payload, until: expiresIn === undefined ? Infinity : now() + expiresIn });
    if (payload.grantId && this.model !== 'Session') {
      if (!byGrant.has(payload.grantId)) byGrant.set(payload.grantId, new Set());
      byGrant.get(payload.grantId).add(key);
    }
  }

  async find(id) {
    const record = records.get(this.key(id));
    return record && record.until > now() ? record.payload : undefined;
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
    const record = records.get(this.key(id));
    if (record) record.payload.consumed = now();
  }

  async destroy(id) {
    records.delete(this.key(id));
  }

  async revokeByGrantId(grantId) {
    for (const key of byGrant.get(grantId) ?? []) records.delete(key);
    byGrant.delete(grantId);
  }
}
