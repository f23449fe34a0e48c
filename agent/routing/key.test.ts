import assert from 'node:assert/strict';
import { test } from 'node:test';

import { keyToCid, routingKey } from './key.ts';

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
  assert.equal(key.target.length, 32);
  assert.match(key.recordKey, /^[a-z2-7]{55}$/);
});
