import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { StaticBootstrapper } from './static-bootstrapper.ts';

const ID = '12D3KooWQmYKYNqzRVPNnFQ3Q3XCQtWcG6X5yQ1jAeLC8VmTTqN7';

describe('StaticBootstrapper', () => {
  it('names one peer for each address, with the peer ID where the address has one', async () => {
    const addresses = ['/ip4/10.0.0.1/tcp/5001', `/dns4/node/tcp/5001/p2p/${ID}`];
    const peers = await new StaticBootstrapper(addresses).find();
    assert.deepEqual(
      peers.map(({ peerId, multiaddrs }) => ({ peerId, multiaddrs: multiaddrs.map(String) })),
      [
        { peerId: undefined, multiaddrs: ['/ip4/10.0.0.1/tcp/5001'] },
        { peerId: ID, multiaddrs: [`/dns4/node/tcp/5001/p2p/${ID}`] },
      ],
    );
  });

  it('finds no peers in an empty list', async () => {
    assert.deepEqual(await new StaticBootstrapper([]).find(), []);
  });

  it('refuses an address that is not a multiaddr', () => {
    assert.throws(() => new StaticBootstrapper(['10.0.0.1:5001']));
  });
});
