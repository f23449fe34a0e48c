import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { generateKeyPair } from '@libp2p/crypto/keys';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { multiaddr } from '@multiformats/multiaddr';

import { until } from '../../testing/conformance/router.ts';
import { silent } from '../../testing/test-network.ts';
import { routingKey, type RoutingKey } from '../dht/key.ts';
import { IdentityProbe } from './identity-probe.ts';
import { dhtPeer } from './membership.ts';
import { AddressPolicy } from './address-policy.ts';

const idOf = async () => peerIdFromPrivateKey(await generateKeyPair('Ed25519'));

/** Probes a peer that names these addresses for this node's ID, twice; gives what was dialled. */
async function probe(t: TestContext, named: readonly string[]): Promise<string[]> {
  return (await probeWith(t, named, routingKey('key'))).dialled;
}

/** As {@link probe}; `key` is what this node advertises. Gives the number of questions, too. */
async function probeWith(
  t: TestContext,
  named: readonly string[],
  key: RoutingKey | undefined,
): Promise<{ readonly dialled: string[]; readonly asked: number }> {
  const [self, peer] = [await idOf(), dhtPeer(await idOf())];
  const dialled: string[] = [];
  let asked = 0;
  let begun = 0;
  const prober = new IdentityProbe(
    {
      node: {
        peerId: self,
        getMultiaddrs: () => [multiaddr('/ip4/10.0.0.7/tcp/5001')],
        services: { listening: { addresses: () => [multiaddr('/ip4/10.0.0.7/tcp/5001')] } },
        dial: (address: unknown) => {
          dialled.push(String(address));
          return Promise.reject(new Error('dial self'));
        },
      } as never,
      policy: new AddressPolicy({ loopback: () => false }),
      client: {
        getProviders: () => {
          asked += 1;
          const multiaddrs = named.map((text) => multiaddr(text));
          const other = { peerId: peer.text, multiaddrs: [multiaddr('/ip4/10.0.0.8/tcp/5001')] };
          return Promise.resolve({
            providers: [other, { peerId: self.toString(), multiaddrs }],
            closer: [],
          });
        },
      },
      membership: { verified: () => [peer] },
      anyKey: () => {
        begun += 1;
        return key;
      },
      logger: silent,
    },
    1,
  );
  prober.start();
  t.after(() => prober.stop());
  await until(() => begun > 2);
  await prober.stop();
  return { dialled, asked };
}

describe('IdentityProbe', () => {
  it('dials addresses of another host that a peer has for this node', async (t) => {
    const dialled = await probe(t, ['/ip4/10.0.0.7/tcp/5001', '/ip4/10.0.0.9/tcp/5001']);
    assert.deepEqual(new Set(dialled), new Set(['/ip4/10.0.0.9/tcp/5001']));
  });

  it('dials neither own addresses, nor registries, nor where no node can be, nor more than a few', async (t) => {
    assert.deepEqual(await probe(t, ['/ip4/10.0.0.7/tcp/5001', '/ip4/10.0.0.9/tcp/6000/http']), []);
    assert.deepEqual(await probe(t, ['/ip4/169.254.169.254/tcp/80', '/ip4/127.0.0.1/tcp/22']), []);
    const many = Array.from({ length: 9 }, (_, i) => `/ip4/10.0.1.${String(i)}/tcp/5001`);
    assert.deepEqual(new Set(await probe(t, many)), new Set(many.slice(0, 4)));
  });

  it('asks nothing while this node advertises nothing', async (t) => {
    const { asked, dialled } = await probeWith(t, ['/ip4/10.0.0.9/tcp/5001'], undefined);
    assert.deepEqual({ asked, dialled }, { asked: 0, dialled: [] });
  });
});
