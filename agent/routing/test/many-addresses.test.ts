import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';

import { found, until } from '../../testing/conformance/router.ts';
import { silent, TestNetwork } from '../../testing/test-network.ts';
import { StaticBootstrapper } from '../bootstrap/static-bootstrapper.ts';
import { Libp2pRouter } from '../libp2p-router.ts';
import { loadIdentity } from '../node/identity.ts';

/** More addresses than a node announces; the last one is the one by which the others reach it. */
const ADDRESSES = Array.from({ length: 12 }, (_, i) => `127.0.29.${String(i + 1)}`);
const RIGHT = '127.0.29.12';

describe('A node with more addresses than it announces', () => {
  const network = new TestNetwork();
  const routers: Libp2pRouter[] = [];
  after(async () => {
    await Promise.all([network.stop(), ...routers.map((router) => router.stop())]);
  });

  it('is found at the one at which its peers see it', async () => {
    const listen = ADDRESSES.map((ip) => `/ip4/${ip}/tcp/0`);
    const node = await network.start([], { listen, registryPort: 6029 });
    const right = node.listening.map(String).find((address) => address.includes(`/${RIGHT}/`));
    assert.ok(right !== undefined);
    assert.equal(node.identityAnswer()?.Addrs.includes(right), false, 'it cannot know yet');

    const peer = new Libp2pRouter(
      {
        privateKey: await loadIdentity(),
        bootstrapper: new StaticBootstrapper([right]),
        logger: silent,
      },
      { listen: ['/ip4/127.0.29.100/tcp/0'], registryPort: 6030 },
    );
    routers.push(peer);
    await peer.start();
    await node.advertise(['key']);
    await until(async () => {
      const [provider] = await found(peer, 'key');
      return provider?.origins[0] === `http://${RIGHT}:6029`;
    });
    assert.equal(node.identityAnswer()?.Addrs[0], right);
    assert.equal(node.identityAnswer()?.Addrs.length, 8);
  });
});
