import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { multiaddr } from '@multiformats/multiaddr';

import { socketOf } from './node-network.ts';

describe('socketOf', () => {
  it('is the IP and the port of an address, whatever follows', () => {
    assert.equal(socketOf(multiaddr('/ip4/10.0.0.7/tcp/5001')), '10.0.0.7:5001');
    const id = '12D3KooWKnDdG3iXw9eTFijk3EWSunZcFi54Zka4wmtqtt6rPxc8';
    assert.equal(socketOf(multiaddr(`/ip4/10.0.0.7/tcp/5001/p2p/${id}`)), '10.0.0.7:5001');
  });
});
