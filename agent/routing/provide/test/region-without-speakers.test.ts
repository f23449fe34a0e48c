import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';

import { UnsupportedProtocolError } from '@libp2p/interface';

import { randomPeers, signedAnnouncement } from '../../../testing/announcements.ts';
import { silent } from '../../../testing/test-network.ts';
import { isWithin } from '../../announce/region-layout.ts';
import { closest, K } from '../../dht/kademlia.ts';
import { routingKey, targetOf, type RoutingKey } from '../../dht/key.ts';
import type { DhtPeer } from '../../node/membership.ts';
import { CarrierSearch } from '../carrier-search.ts';
import { DirectRecords } from '../direct-records.ts';

const { signal } = new AbortController();
const region = { bits: 1, prefix: 0 };
const keys = Array.from({ length: 100 }, (_, at) => routingKey(`key ${String(at)}`))
  .filter(({ target }) => isWithin(region, target))
  .slice(0, 5);
const announcement = await signedAnnouncement(keys.map(({ name }) => name));
const withdrawal = await signedAnnouncement([], {
  withdrawn: keys.map(({ recordKey }) => recordKey),
});
const peers = await randomPeers(100);
const inside = peers.filter(({ prefix }) => isWithin(region, prefix));
const outside = peers.filter(({ prefix }) => !isWithin(region, prefix));
const [self] = outside;
assert.ok(self);

let members: readonly DhtPeer[];
let sent: string[];
let takes: boolean;
/** The one that speaks the protocol, if any, and takes announcements for the first half only. */
let speaker: DhtPeer | undefined;

const membership = {
  members: () => members,
  learn: () => 0,
  isConnected: () => true,
  isContact: () => false,
  isEstablished: () => true,
  isUnresponsive: () => false,
  markUnresponsive: () => undefined,
};
const client = {
  addProviders: ({ text }: DhtPeer) => {
    sent.push(text);
    return takes ? Promise.resolve(1) : Promise.reject(new Error('no answer'));
  },
};
const search = new CarrierSearch({
  self,
  membership,
  lookup: { find: (key) => Promise.resolve(closest(targetOf(key), members, K)) },
  carrier: { carry: () => assert.fail('this node is not in the region') },
  announceClient: {
    announce: (peer, { half }) => {
      if (peer !== speaker) return Promise.reject(new UnsupportedProtocolError('not spoken'));
      return Promise.resolve({ taken: half === 0 ? 5 : 0, strangers: [], sequence: 0 });
    },
  },
  direct: new DirectRecords({ self, client, membership, logger: silent }),
  logger: silent,
});

const carry = (what = announcement): Promise<number> =>
  search.carry(what, { region, keys }, signal);
const closestTo = (wanted: readonly RoutingKey[]): DhtPeer[] => [
  ...new Set(wanted.flatMap(({ target }) => closest(target, members, K))),
];
const textsOf = (some: readonly DhtPeer[]): string[] => some.map(({ text }) => text).sort();

beforeEach(() => {
  members = peers.filter((peer) => peer !== self);
  [sent, takes, speaker] = [[], true, undefined];
});

describe('A region in which no member speaks the protocol', () => {
  for (const count of [1, 5, inside.length]) {
    it(`has the records sent to the closest to each key, with ${String(count)} members`, async () => {
      members = [...inside.slice(0, count), ...outside.slice(1)];
      await carry();
      assert.deepEqual(sent.toSorted(), textsOf(closestTo(keys)));
    });
  }

  it('has the records sent to the closest of the half that no speaker has taken', async () => {
    members = [...inside.slice(0, 4), ...outside.slice(1)];
    [speaker] = inside;
    await carry();
    const odd = closestTo(keys).filter(({ prefix }) => prefix % 2 === 1);
    assert.deepEqual(sent.toSorted(), textsOf(odd));
  });

  it('is tried again when no peer takes the records', async () => {
    takes = false;
    await assert.rejects(carry(), /no member of the region took it/);
  });

  it('does not delay a withdrawal, which cannot be sent to its members', async () => {
    takes = false;
    assert.equal(await carry(withdrawal), 0);
    assert.deepEqual(sent, []);
  });
});
