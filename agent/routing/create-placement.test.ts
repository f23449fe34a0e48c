import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { recordKeys, signedAnnouncement } from '../testing/announcements.ts';
import { startAnnouncingNode, type AnnouncingNode } from '../testing/announcing-node.ts';
import { until } from '../testing/conformance/router.ts';
import { silent } from '../testing/test-network.ts';
import { ANNOUNCE_PROTOCOL } from './announce/announce-messages.ts';
import { createPlacement, type Placement } from './create-placement.ts';
import { DhtClient } from './dht/dht-client.ts';
import { LookupKeys } from './dht/lookup-keys.ts';
import { RequestRateLimiter } from './dht/request-rate-limiter.ts';
import { WithdrawProtocol } from './dht/withdraw-protocol.ts';
import { NodeLookup } from './discovery/node-lookup.ts';
import { ESTABLISHED_MS, Membership } from './node/membership.ts';
import { OwnAddresses } from './node/own-addresses.ts';
import { PeerProtocols } from './node/peer-protocols.ts';
import { AddressPolicy } from './node/address-policy.ts';

/** The placement of a node, beside the parts of it that the test has started. */
async function place(
  t: TestContext,
  { node, privateKey, peer, records, addressBook, server }: AnnouncingNode,
  isLarge: boolean,
): Promise<Placement> {
  await server.stop();
  const membership = new Membership(node);
  const protocols = new PeerProtocols(node);
  const addresses = new OwnAddresses(node, () => undefined);
  const policy = new AddressPolicy({ loopback: () => true });
  const client = new DhtClient(node, addresses, policy);
  protocols.start();
  await membership.start();
  const placement = createPlacement(
    {
      privateKey,
      self: peer,
      node,
      client,
      membership,
      protocols,
      scale: { isLarge, isLargeForSome: isLarge, size: 100 } as never,
      lookupKeys: new LookupKeys(),
      nodeLookup: new NodeLookup({ client, membership, logger: silent }),
      records,
      withdrawals: new WithdrawProtocol({ node, records, logger: silent }),
      addressBook,
      addresses,
      policy,
      rateLimiter: new RequestRateLimiter(),
      observer: {},
      logger: silent,
    },
    {},
  );
  t.after(async () => {
    await placement.handover.stop();
    placement.client.stop();
    client.stop();
    membership.stop();
    protocols.stop();
  });
  return placement;
}

/** Sets the clock forward to when a node has had the time to be sent its records. */
function wait(t: TestContext): void {
  const now = performance.now.bind(performance);
  t.mock.method(performance, 'now', () => now() + ESTABLISHED_MS);
}

describe('createPlacement', () => {
  it('makes a node that is established after a time, in a small network', async (t) => {
    const placement = await place(t, await startAnnouncingNode(t, '127.0.0.52'), false);
    assert.equal(placement.isEstablished(), false);
    wait(t);
    assert.equal(placement.isEstablished(), true);
  });

  it('makes one that has its records handed over before, in a large network', async (t) => {
    const joining = await startAnnouncingNode(t, '127.0.0.53');
    const neighbour = await startAnnouncingNode(t, '127.0.0.54');
    const announcement = await signedAnnouncement(['key']);
    neighbour.held.take(announcement, { from: 'another' });
    const placement = await place(t, joining, true);
    wait(t);
    assert.equal(placement.isEstablished(), false);
    await joining.node.dial(neighbour.node.services.listening.addresses());
    placement.handover.start(Promise.resolve());
    await until(() => placement.isEstablished());
    const [key = ''] = recordKeys(['key']);
    assert.ok(joining.records.has(key, announcement.provider.toString()));
    assert.equal(placement.held.size, 1);
  });

  it('serves announcements, and keeps those of the keys that it is close to', async (t) => {
    const node = await startAnnouncingNode(t, '127.0.0.55');
    const sender = await startAnnouncingNode(t, '127.0.0.56');
    const placement = await place(t, node, true);
    await placement.server.start();
    assert.ok(node.node.getProtocols().includes(ANNOUNCE_PROTOCOL));
    await sender.node.dial(node.node.services.listening.addresses());
    const { envelope } = await signedAnnouncement(['key'], {}, sender.privateKey);
    const { signal } = new AbortController();
    const asked = sender.client.announce(node.peer, { envelope, half: 0 }, 20_000, signal);
    // This node has taken it, and there is no other.
    assert.deepEqual(await asked, { taken: 1, strangers: [], sequence: 0 });
    assert.equal(placement.held.size, 1);
    await placement.server.stop();
    assert.ok(!node.node.getProtocols().includes(ANNOUNCE_PROTOCOL));
  });
});
