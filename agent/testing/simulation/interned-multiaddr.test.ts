import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { multiaddr } from './interned-multiaddr.ts';

describe('the addresses that simulated nodes share', () => {
  it('are one object for the same bytes', () => {
    const address = multiaddr('/ip4/10.0.0.7/tcp/5001');
    const [one, other] = [multiaddr(address.bytes), multiaddr(Uint8Array.from(address.bytes))];
    assert.equal(one, other);
    assert.ok(one.equals(address));
    assert.notEqual(multiaddr(multiaddr('/ip4/10.0.0.8/tcp/5001').bytes), one);
    assert.throws(() => multiaddr(Uint8Array.of(4, 1)));
  });
});
