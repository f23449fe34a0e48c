import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { keyToCid, multihashOf, recordKeyOf, routingKey, targetOf } from './key.ts';

describe('routingKey', () => {
  it('computes the same CID as Spegel', () => {
    assert.equal(
      keyToCid('foobar').toString(),
      'bafkreigdvoh7cnza5cwzar65hfdgwpejotszfqx2ha6uuolaofgk54ge6i',
    );
  });

  it('hashes a digest like any other key', () => {
    const key = routingKey(`sha256:${'0'.repeat(64)}`);
    assert.equal(key.multihash.length, 34);
    assert.deepEqual([...key.multihash.subarray(0, 2)], [0x12, 32]);
    assert.equal(key.target, targetOf(key.multihash));
    assert.equal(key.recordKey, recordKeyOf(key.multihash));
    assert.deepEqual(Buffer.from(key.recordKey, 'latin1'), Buffer.from(key.multihash.subarray(2)));
  });

  it('has a record key for a SHA2-256 multihash only', () => {
    const { multihash } = routingKey('key');
    const others = [
      new Uint8Array(0),
      multihash.subarray(1),
      Buffer.concat([multihash, Buffer.alloc(1)]),
      Buffer.concat([Uint8Array.of(0x13), multihash.subarray(1)]),
    ];
    for (const other of others) assert.equal(recordKeyOf(other), undefined);
  });

  it('is made of its record key again', () => {
    const { multihash, recordKey } = routingKey('key');
    assert.deepEqual(Buffer.from(multihashOf(recordKey)), Buffer.from(multihash));
  });
});
