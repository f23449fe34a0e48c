import type { TestContext } from 'node:test';

import { generateKeyPair } from '@libp2p/crypto/keys';
import type { PrivateKey } from '@libp2p/interface';

import { AnnounceClient } from '../routing/announce/announce-client.ts';
import { AnnounceServer } from '../routing/announce/announce-server.ts';
import type { Carried, Half } from '../routing/announce/carrier.ts';
import { HeldAnnouncements } from '../routing/announce/held-announcements.ts';
import { PeerDialer } from '../routing/dht/peer-dialer.ts';
import { DEFAULT_VALIDITY_MS, ProviderRecords } from '../routing/dht/provider-records.ts';
import { RequestRateLimiter } from '../routing/dht/request-rate-limiter.ts';
import { AddressBook } from '../routing/node/address-book.ts';
import type { RoutingNode } from '../routing/node/libp2p-node.ts';
import { dhtPeer, type DhtPeer } from '../routing/node/membership.ts';
import { startRoutingNode } from './routing-node.ts';
import { silent } from './test-network.ts';

/** A libp2p node with the parts of the announce protocol; it keeps the records of all keys. */
export interface AnnouncingNode {
  readonly node: RoutingNode;
  readonly privateKey: PrivateKey;
  readonly peer: DhtPeer;
  readonly records: ProviderRecords;
  readonly addressBook: AddressBook;
  readonly held: HeldAnnouncements;
  readonly client: AnnounceClient;
  readonly server: AnnounceServer;
  /** What it was asked to carry: the provider and the half. */
  readonly carried: [string, Half | undefined][];
  /** What it says of it. */
  outcome: Carried;
  /** How far from it the keys are that it hands over; everywhere at first. */
  range: number;
  /** Whether it says that it has got its records; it has at first. */
  isEstablished: boolean;
}

/**
 * For tests: starts a node that speaks the announce protocol; it stops with the test.
 *
 * @param host loopback address to listen on
 */
export async function startAnnouncingNode(t: TestContext, host: string): Promise<AnnouncingNode> {
  const privateKey = await generateKeyPair('Ed25519');
  const node = await startRoutingNode(t, host, undefined, privateKey);
  const peer = dhtPeer(node.peerId);
  const ownPeerId = peer.text;
  const records = new ProviderRecords({ ownPeerId });
  const addressBook = new AddressBook();
  const held = new HeldAnnouncements(
    { records, addressBook, isOurs: () => true, networkSize: () => 10, hostOf: () => undefined },
    { ownPeerId, validityMs: DEFAULT_VALIDITY_MS },
  );
  const carried: AnnouncingNode['carried'] = [];
  const carrier = {
    carry: ({ provider }: { provider: unknown }, half: Half | undefined) => {
      carried.push([String(provider), half]);
      return Promise.resolve(it.outcome);
    },
  };
  const server = new AnnounceServer({
    node,
    held,
    carrier,
    addressBook,
    rateLimiter: new RequestRateLimiter(),
    range: () => it.range,
    isEstablished: () => it.isEstablished,
    self: peer,
    logger: silent,
  });
  await server.start();
  const client = new AnnounceClient(new PeerDialer(node, { allows: () => false }));
  t.after(() => {
    client.stop();
  });
  const it: AnnouncingNode = {
    node,
    privateKey,
    peer,
    records,
    addressBook,
    held,
    client,
    server,
    carried,
    outcome: { taken: 0, strangers: [], sequence: 0 },
    range: 2 ** 32 - 1,
    isEstablished: true,
  };
  return it;
}
