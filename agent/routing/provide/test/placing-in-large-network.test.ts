import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';

import { peerIdFromPrivateKey } from '@libp2p/peer-id';

import { Seeded } from '../../../testing/seeded.ts';
import { SimulatedMembership, SimulatedNetwork } from '../../../testing/simulated-network.ts';
import { silent } from '../../../testing/test-network.ts';
import { ANNOUNCE_PROTOCOL } from '../../announce/announce-messages.ts';
import { openAnnouncement, targetOfRecord } from '../../announce/announcement.ts';
import type { SignedAnnouncement } from '../../announce/announcement.ts';
import { Carrier, halfOf, HALVES } from '../../announce/carrier.ts';
import { NEAR } from '../../discovery/connection-budget.ts';
import { NodeLookup } from '../../discovery/node-lookup.ts';
import { closest, isAmongClosest, K } from '../../dht/kademlia.ts';
import { routingKey } from '../../dht/key.ts';
import { dhtPeer, type DhtPeer } from '../../node/membership.ts';
import { CarrierSearch } from '../carrier-search.ts';
import { RegionAnnouncer } from '../region-announcer.ts';

const PROVIDERS = 4;
const KEYS = Array.from({ length: 300 }, (_, at) => routingKey(`key ${String(at)}`));
/** As in `createPlacement`. */
const KEPT_WITHIN = 1.5 * K;

const random = new Seeded('providers');
/** Provider -> key -> the peers that keep its record. */
const kept = new Map<string, Map<number, Set<string>>>();
let network: SimulatedNetwork;
/** Messages of providers, and of carriers. */
let announced: number;
let passed: number;

/** The closest peers of a node; it is connected with all of them. */
const neighbours = (peer: DhtPeer): readonly DhtPeer[] =>
  closest(peer.prefix, network.known(peer), NEAR);

/** A peer takes an announcement: it keeps what is close to it, as far as it knows. */
function take(peer: DhtPeer, { provider, provided }: SignedAnnouncement): void {
  const records = kept.get(provider.toString());
  for (const target of provided.map(targetOfRecord)) {
    if (!isAmongClosest(peer, target, neighbours(peer), KEPT_WITHIN)) continue;
    records?.set(target, (records.get(target) ?? new Set()).add(peer.text));
  }
}

const carrierAt = (self: DhtPeer): Carrier =>
  new Carrier({
    membership: { verified: () => neighbours(self), isUnresponsive: () => false },
    protocols: { of: () => [ANNOUNCE_PROTOCOL] },
    client: {
      pass: async (peer, envelope) => {
        passed += 1;
        take(peer, await open(envelope));
        return { isTaken: true, sequence: 0 };
      },
    },
    scale: { size: network.peers.length },
    logger: silent,
  });

const opened = new Map<Uint8Array, Promise<SignedAnnouncement>>();
/** As `openAnnouncement`, once for each. */
function open(envelope: Uint8Array): Promise<SignedAnnouncement> {
  const announcement = opened.get(envelope) ?? openAnnouncement(envelope);
  opened.set(envelope, announcement);
  return announcement;
}

/** Has a new node provide all keys, by regions for so many nodes. */
async function provideAll(layoutSize: number): Promise<void> {
  const privateKey = await random.privateKey();
  const self = dhtPeer(peerIdFromPrivateKey(privateKey));
  kept.set(self.text, new Map());
  const known = closest(self.prefix, network.peers, NEAR);
  const membership = Object.assign(new SimulatedMembership(known), { isConnected: () => false });
  const search = new CarrierSearch({
    self,
    membership,
    lookup: new NodeLookup({ client: network.client, membership, logger: silent }),
    carrier: new Carrier({
      membership: { verified: () => known, isUnresponsive: () => false },
      protocols: { of: () => [ANNOUNCE_PROTOCOL] },
      client: {
        pass: async (peer, envelope) => {
          take(peer, await open(envelope));
          return { isTaken: true, sequence: 0 };
        },
      },
      scale: { size: network.peers.length },
      logger: silent,
    }),
    announceClient: {
      announce: async (peer, { envelope, half }, _timeoutMs, signal) => {
        announced += 1;
        const announcement = await open(envelope);
        take(peer, announcement);
        const carried = await carrierAt(peer).carry(announcement, half, signal);
        // All peers speak the protocol.
        assert.deepEqual(carried.strangers, []);
        return { ...carried, strangers: [] };
      },
    },
    direct: { send: () => Promise.resolve(0), sendNamed: () => Promise.resolve(0) },
    logger: silent,
  });
  const observer = { onProvideFailure: () => assert.fail('a region was not carried') };
  const announcer = new RegionAnnouncer(
    { privateKey, addresses: { current: () => [] }, search, observer, logger: silent },
    3_600_000,
  );
  announcer.follow(layoutSize);
  await announcer.provide(KEYS);
  announcer.stop();
}

/** For each provider and key, the share of the closest peers that have its record, and whether any deciding one has. */
function* placements(): Generator<{ readonly share: number; readonly isDecided: boolean }> {
  for (const records of kept.values()) {
    for (const { target } of KEYS) {
      const nearest = network.closestTo(target);
      const has = ({ text }: DhtPeer): boolean => records.get(target)?.has(text) === true;
      const deciding = HALVES.flatMap((half) =>
        nearest.filter((peer) => halfOf(peer) === half).slice(0, 2),
      );
      yield { share: nearest.filter(has).length / nearest.length, isDecided: deciding.some(has) };
    }
  }
}

for (const [nodes, layoutSize, regions] of [
  [1000, 1000, 32],
  // It has grown since the regions were made: they are as large as they become.
  [760, 511, 16],
] as const) {
  describe(`The records of a node in a network of ${String(nodes)}`, () => {
    before(async () => {
      network = await SimulatedNetwork.open(nodes);
      kept.clear();
      [announced, passed] = [0, 0];
      for (let count = 0; count < PROVIDERS; count++) await provideAll(layoutSize);
    });

    it('come to 97 of 100 of the peers that are to keep them', () => {
      const shares = [...placements()].map(({ share }) => share);
      const mean = shares.reduce((sum, share) => sum + share, 0) / shares.length;
      assert.ok(mean >= 0.97, String(mean));
    });

    it('come to one at least of those that decide on a miss, for each key', () => {
      const missing = [...placements()].filter(({ isDecided }) => !isDecided);
      assert.equal(missing.length, 0);
    });

    it('take two carriers for each region, which send it once to each peer', () => {
      assert.ok(announced <= 2.5 * PROVIDERS * regions, String(announced));
      assert.ok(passed <= 1.5 * PROVIDERS * nodes, String(passed));
    });
  });
}
