import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Holders, type Holder } from './record-holders.ts';

const HOST = { name: 'host', records: 2 };
const [a, b, c] = ['a', 'b', 'c'].map((peerId) => ({
  peerId,
  records: 1,
  host: peerId === 'c' ? { name: '', records: 1 } : HOST,
})) as [Holder, Holder, Holder];

describe('Holders', () => {
  it('returns the holders with a valid record, the most recent first', () => {
    const holders = new Holders(a, 10);
    holders.add(b, 20);
    holders.add(c, 30);
    assert.deepEqual(holders.valid(0), ['c', 'b', 'a']);
    assert.deepEqual(holders.valid(10), ['c', 'b']);
    assert.equal(holders.size, 3);
  });

  it('renews a record, which makes its holder the most recent', () => {
    const holders = new Holders(a, 10);
    assert.equal(holders.renew(a, 15), true);
    assert.equal(holders.expiryOf(a), 15);
    holders.add(b, 20);
    assert.equal(holders.renew(a, 30), true);
    assert.deepEqual(holders.valid(0), ['a', 'b']);
  });

  it('neither renews nor deletes the record of a holder that has none', () => {
    const single = new Holders(a, 10);
    const several = new Holders(a, 10);
    several.add(b, 10);
    for (const holders of [single, several]) {
      assert.equal(holders.renew(c, 20), false);
      assert.equal(holders.delete(c), false);
      assert.equal(holders.expiryOf(c), undefined);
    }
  });

  it('is empty after the only holder was deleted, and takes another', () => {
    const holders = new Holders(a, 10);
    assert.equal(holders.delete(a), true);
    assert.equal(holders.size, 0);
    holders.add(b, 20);
    assert.deepEqual(holders.valid(0), ['b']);
    assert.equal(holders.size, 1);
  });

  it('returns the holders of one host', () => {
    const holders = new Holders(a, 10);
    assert.deepEqual(holders.of(HOST), [a]);
    assert.deepEqual(holders.of(c.host), []);
    holders.add(c, 10);
    holders.add(b, 10);
    assert.deepEqual(holders.of(HOST), [a, b]);
    assert.deepEqual(holders.of(c.host), [c]);
  });

  it('removes expired records of one holder and of several', () => {
    const single = new Holders(a, 10);
    assert.deepEqual(single.removeExpired(9), []);
    assert.deepEqual(single.removeExpired(10), [a]);
    assert.equal(single.size, 0);
    const several = new Holders(a, 10);
    several.add(b, 20);
    several.add(c, 10);
    assert.deepEqual(several.removeExpired(10), [a, c]);
    assert.deepEqual(several.valid(0), ['b']);
  });
});
