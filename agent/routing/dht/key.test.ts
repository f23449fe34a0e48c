import assert from 'node:assert/strict';
import { test } from 'node:test';

import { keyToCid, recordKeyOf, routingKey, targetOf } from './key.ts';

test('a key becomes the CID that Spegel computes', () => {
  assert.equal(
    keyToCid('foobar').toString(),
    'bafkreigdvoh7cnza5cwzar65hfdgwpejotszfqx2ha6uuolaofgk54ge6i',
  );
});

test('a digest is hashed like any other key', () => {
  const key = routingKey(`sha256:${'0'.repeat(64)}`);
  assert.equal(key.multihash.length, 34);
  assert.deepEqual([...key.multihash.subarray(0, 2)], [0x12, 32]);
  assert.equal(key.target, targetOf(key.multihash));
  assert.equal(key.recordKey, recordKeyOf(key.multihash));
  assert.deepEqual(Buffer.from(key.recordKey, 'latin1'), Buffer.from(key.multihash.subarray(2)));
});

test('only a SHA2-256 multihash is the key of a record', () => {
  const { multihash } = routingKey('key');
  const others = [
    new Uint8Array(0),
    multihash.subarray(1),
    Buffer.concat([multihash, Buffer.alloc(1)]),
    Buffer.concat([Uint8Array.of(0x13), multihash.subarray(1)]),
  ];
  for (const other of others) assert.equal(recordKeyOf(other), undefined);
});
