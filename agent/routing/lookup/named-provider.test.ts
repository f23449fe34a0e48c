import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { namedByOthers, peerIdOf } from './named-provider.ts';

describe('namedByOthers', () => {
  it('gives each claim about a peer a name of its own, which says whose it is', () => {
    const claim = (origin: string): string =>
      namedByOthers({ peerId: 'honest', origins: [origin] }).peerId;
    const names = ['http://10.0.0.7:5000', 'http://[fd00::6]:6000'].map(claim);
    assert.deepEqual(names, ['honest@10.0.0.7:5000', 'honest@[fd00::6]:6000']);
    assert.deepEqual(names.map(peerIdOf), ['honest', 'honest']);
    assert.equal(peerIdOf('honest'), 'honest');
  });
});
