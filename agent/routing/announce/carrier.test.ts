import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';

import { randomPeers, recordKeys, signedAnnouncement } from '../../testing/announcements.ts';
import { silent } from '../../testing/test-network.ts';
import { closest, K } from '../dht/kademlia.ts';
import { routingKey } from '../dht/key.ts';
import { dhtPeer, type DhtPeer } from '../node/membership.ts';
import { ANNOUNCE_PROTOCOL } from './announce-messages.ts';
import { Carrier } from './carrier.ts';
import { labelOf, MAX_PARTS } from './region-layout.ts';

const { signal } = new AbortController();
const members = await randomPeers(60);

let verified: readonly DhtPeer[];
let unresponsive: Set<string>;
/** Peers that do not speak the protocol. */
let strangers: Set<string>;
let failing: Set<string>;
/** Peers that know a later sequence of the provider, and that. */
let refusing: Map<string, number>;
let networkSize: number;
/** To whom it was passed. */
let passed: string[];

const carrier = new Carrier({
  membership: {
    verified: () => verified,
    isUnresponsive: (text) => unresponsive.has(text),
  },
  protocols: { of: (text) => (strangers.has(text) ? [] : [ANNOUNCE_PROTOCOL]) },
  client: {
    pass: ({ text }) => {
      if (failing.has(text)) return Promise.reject(new Error('no answer'));
      passed.push(text);
      const later = refusing.get(text);
      return Promise.resolve({ isTaken: later === undefined, sequence: later ?? 0 });
    },
  },
  scale: {
    get size() {
      return networkSize;
    },
  },
  logger: silent,
});

beforeEach(() => {
  verified = members;
  [unresponsive, strangers, failing] = [new Set(), new Set(), new Set()];
  refusing = new Map();
  networkSize = 61;
  passed = [];
});

const closestTo = (name: string, among = verified): string[] =>
  closest(routingKey(name).target, among, K).map(({ text }) => text);

describe('Carrier', () => {
  it('passes an announcement to the closest peers of each key, once to each', async () => {
    const announcement = await signedAnnouncement(['a'], { withdrawn: recordKeys(['b']) });
    const { taken, strangers: found } = await carrier.carry(announcement, undefined, signal);
    const expected = new Set([...closestTo('a'), ...closestTo('b')]);
    assert.deepEqual(passed.sort(), [...expected].sort());
    assert.deepEqual([taken, found], [expected.size, []]);
  });

  it('does not pass it to its provider', async () => {
    const announcement = await signedAnnouncement(['a']);
    const provider = dhtPeer(announcement.provider);
    verified = [provider, ...closest(routingKey('a').target, members, K)];
    await carrier.carry(announcement, undefined, signal);
    assert.equal(passed.length, K);
    assert.ok(!passed.includes(provider.text));
  });

  it('has two carriers pass it to different peers, and to all of them', async () => {
    const announcement = await signedAnnouncement(['a']);
    await carrier.carry(announcement, 0, signal);
    const first = passed;
    passed = [];
    await carrier.carry(announcement, 1, signal);
    assert.deepEqual([...first, ...passed].sort(), closestTo('a').sort());
    assert.deepEqual(
      first.filter((text) => passed.includes(text)),
      [],
    );
  });

  it('takes the next closest in the place of those that do not answer', async () => {
    const announcement = await signedAnnouncement(['a']);
    for (const text of closestTo('a').slice(0, 5)) unresponsive.add(text);
    const others = members.filter(({ text }) => !unresponsive.has(text));
    await carrier.carry(announcement, undefined, signal);
    assert.deepEqual(passed.sort(), closestTo('a', others).sort());
  });

  it('names those that do not speak the protocol, and passes it to the others', async () => {
    const announcement = await signedAnnouncement(['a']);
    strangers = new Set(closestTo('a').slice(0, 3));
    const result = await carrier.carry(announcement, undefined, signal);
    assert.deepEqual(new Set(result.strangers.map(({ text }) => text)), strangers);
    assert.equal(result.taken, K - 3);
    assert.deepEqual(passed.sort(), closestTo('a').slice(3).sort());
  });

  it('does not count those that fail or know a later one, and says the sequence of that', async () => {
    const announcement = await signedAnnouncement(['a']);
    const near = closestTo('a');
    failing = new Set(near.slice(0, 4));
    refusing = new Map(near.slice(4, 6).map((text, at) => [text, 7 + at]));
    const { taken, sequence } = await carrier.carry(announcement, undefined, signal);
    assert.deepEqual([taken, sequence], [K - 6, 8]);
  });

  it('passes an announcement of many keys to a bounded number of peers', async () => {
    verified = await randomPeers(200);
    const names = Array.from({ length: 100 }, (_, i) => `key ${String(i)}`);
    const { taken } = await carrier.carry(await signedAnnouncement(names), undefined, signal);
    assert.equal(taken, 96);
  });

  it('refuses keys that are not in the region of the label, also those that are withdrawn', async () => {
    const { target } = routingKey('a');
    const inside = { bits: 1, prefix: target >>> 31 };
    const outside = { bits: 1, prefix: 1 - inside.prefix };
    for (const [region, isCarried] of [
      [inside, true],
      [outside, false],
    ] as const) {
      const label = (labelOf(region) + 1) * MAX_PARTS - 1;
      const provides = await signedAnnouncement(['a'], { label });
      const withdraws = await signedAnnouncement([], { label, withdrawn: recordKeys(['a']) });
      for (const announcement of [provides, withdraws]) {
        passed = [];
        const carried = carrier.carry(announcement, undefined, signal);
        if (isCarried) await carried;
        else await assert.rejects(carried, /keys beyond the region/);
        assert.equal(passed.length, isCarried ? K : 0);
      }
    }
  });

  it('refuses a region of too many nodes, and labels of none', async () => {
    networkSize = 128;
    const all = await signedAnnouncement(['a']);
    await carrier.carry(all, undefined, signal);
    networkSize = 129;
    await assert.rejects(carrier.carry(all, undefined, signal), /too large a region/);
    const none = await signedAnnouncement(['a'], { label: MAX_PARTS - 1 });
    await assert.rejects(carrier.carry(none, undefined, signal), /no label of a region/);
  });

  it('refuses more announcements when too many wait', async () => {
    const announcement = await signedAnnouncement(['a']);
    const carried = Array.from({ length: 300 }, () =>
      carrier.carry(announcement, undefined, signal).then(
        () => true,
        () => false,
      ),
    );
    const results = await Promise.all(carried);
    const count = results.filter(Boolean).length;
    assert.ok(count >= 256 && count < 300, String(count));
    await carrier.carry(announcement, undefined, signal);
  });
});
