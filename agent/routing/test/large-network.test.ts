import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { noise } from '@chainsafe/libp2p-noise';
import { yamux } from '@chainsafe/libp2p-yamux';
import { identify } from '@libp2p/identify';
import { kadDHT, passthroughMapper } from '@libp2p/kad-dht';
import { ping } from '@libp2p/ping';
import { tcp } from '@libp2p/tcp';
import { createLibp2p } from 'libp2p';

import { found, until } from '../../testing/conformance/router.ts';
import { TestNetwork } from '../../testing/test-network.ts';
import { keyToCid } from '../dht/key.ts';
import type { Libp2pRouter } from '../libp2p-router.ts';
import { DHT_PROTOCOL } from '../node/libp2p-node.ts';

const ROUTERS = 12;
/** With more than twice as many members a network is large. */
const INIT = { maxConnections: 3 };
const KEYS = Array.from({ length: 20 }, (_, i) => `key ${String(i)}`);

/** A node that speaks the DHT's protocol only, as those of Spegel. */
function startForeignNode() {
  return createLibp2p({
    addresses: { listen: ['/ip4/127.0.0.96/tcp/0'] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    services: {
      identify: identify(),
      ping: ping(),
      dht: kadDHT({
        protocol: DHT_PROTOCOL,
        clientMode: false,
        peerInfoMapper: passthroughMapper,
        allowQueryWithZeroPeers: true,
      }),
    },
  });
}

describe('A network that is large for its nodes', () => {
  const network = new TestNetwork();
  let provider: Libp2pRouter;
  let others: Libp2pRouter[];
  before(async () => {
    [provider, ...others] = (await network.startMany(ROUTERS, INIT)) as [Libp2pRouter];
  });
  after(() => network.stop());

  const idsOf = async (router: Libp2pRouter, key: string): Promise<string[]> =>
    (await found(router, key)).map(({ peerId }) => peerId);
  const allFind = (routers: readonly Libp2pRouter[], key: string, ids: readonly string[]) =>
    until(async () => {
      const answers = await Promise.all(routers.map((router) => idsOf(router, key)));
      return answers.every((answer) => answer.join() === ids.join());
    });

  it('finds the keys of a node at each other', async () => {
    await provider.advertise(KEYS);
    for (const key of KEYS.slice(0, 5)) await allFind(others, key, [provider.peerId]);
    // Fewer nodes than are to keep a record: each has all.
    await until(() => others.every((router) => router.status().records === KEYS.length));
  });

  it('finds no key that was withdrawn', async () => {
    const [withdrawn = '', kept = ''] = KEYS;
    await provider.withdraw([withdrawn]);
    await allFind(others, withdrawn, []);
    assert.deepEqual(await idsOf(others[0] ?? provider, kept), [provider.peerId]);
    await until(() => others.every((router) => router.status().records === KEYS.length - 1));
  });

  it('hands the records over to a node that joins', async () => {
    const joining = await network.start([others[0] ?? provider], INIT);
    await until(() => joining.status().records === KEYS.length - 1);
    assert.deepEqual(await idsOf(joining, KEYS[1] ?? ''), [provider.peerId]);
    assert.deepEqual(await idsOf(joining, KEYS[0] ?? ''), [], 'it was withdrawn');
  });

  it('gives records to a node that speaks the protocol of the DHT only, and finds its own', async () => {
    const foreign = await startForeignNode();
    try {
      const [listening] = provider.listening;
      assert.ok(listening);
      await foreign.dial(listening);
      const id = foreign.peerId.toString();
      await until(() => provider.peers(100).some(({ peerId }) => peerId === id));
      await provider.advertise(['for all']);
      await until(async () => {
        // From its own store, which libp2p asks before other nodes.
        for await (const event of foreign.services.dht.findProviders(keyToCid('for all'))) {
          if (event.name === 'PROVIDER' && event.from.equals(foreign.peerId)) return true;
        }
        return false;
      });
      await foreign.contentRouting.provide(keyToCid('foreign'));
      await allFind([provider], 'foreign', [id]);
    } finally {
      await foreign.stop();
    }
  });
});
