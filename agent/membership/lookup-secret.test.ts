import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { describe, it } from 'node:test';

import { lookupSecret } from './lookup-secret.ts';
import { newSwarmKey } from './swarm-key.ts';

describe('lookupSecret', () => {
  it('is HKDF of the swarm key, as RFC 5869 has it', () => {
    const key = newSwarmKey();
    const hmac = (secret: Uint8Array, text: Uint8Array): Buffer =>
      createHmac('sha256', secret).update(text).digest();
    // Without a salt, extraction has as many zeros as the hash has bytes.
    const extracted = hmac(new Uint8Array(32), key.bytes);
    const info = Buffer.concat([Buffer.from('peerglass look-up keys 1'), Uint8Array.of(1)]);
    assert.deepEqual(lookupSecret(key).export(), hmac(extracted, info));
  });

  it('is another one for another swarm key', () => {
    assert.ok(!lookupSecret(newSwarmKey()).equals(lookupSecret(newSwarmKey())));
  });
});
