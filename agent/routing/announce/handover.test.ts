import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it, type TestContext } from 'node:test';

import { randomPeers, signedAnnouncement } from '../../testing/announcements.ts';
import { until } from '../../testing/conformance/router.ts';
import { VirtualClock } from '../../testing/simulation/virtual-clock.ts';
import { silent } from '../../testing/test-network.ts';
import { closest, distanceTo } from '../dht/kademlia.ts';
import type { DhtPeer } from '../node/membership.ts';
import { ANNOUNCE_PROTOCOL } from './announce-messages.ts';
import type { SignedAnnouncement } from './announcement.ts';
import { Handover } from './handover.ts';
import type { HandedOver } from './held-announcements.ts';

const [self, ...peers] = await randomPeers(120);
assert.ok(self);
const announcement = await signedAnnouncement(['key']);
const other = await signedAnnouncement(['other']);
const known = Promise.resolve();

let verified: readonly DhtPeer[];
let connected: (text: string) => boolean;
let speaks: (text: string) => boolean;
/** Peers that have not got all records themselves. */
let incomplete: Set<DhtPeer>;
/** What each peer hands over; one that throws has failed. */
let handsOver: (peer: DhtPeer) => readonly HandedOver[];
let asked: DhtPeer[];
let ranges: { readonly point: number; readonly distance: number }[];
let taken: [SignedAnnouncement, number | undefined, string][];
let scale: { isLargeForSome: boolean };
let handover: Handover;

beforeEach(() => {
  verified = peers.slice(0, 60);
  connected = speaks = () => true;
  handsOver = () => [];
  [asked, ranges, taken] = [[], [], []];
  scale = { isLargeForSome: true };
  incomplete = new Set();
  handover = new Handover({
    self,
    membership: { verified: () => verified, isConnected: (text) => connected(text) },
    protocols: { of: (text) => (speaks(text) ? [ANNOUNCE_PROTOCOL] : []) },
    client: {
      pull: async (peer, range, take) => {
        asked.push(peer);
        ranges.push(range);
        for (const held of handsOver(peer)) await take(held);
        return !incomplete.has(peer);
      },
    },
    held: {
      take: (what, { ageMs, from }) => {
        taken.push([what, ageMs, from]);
        return true;
      },
    },
    scale,
    logger: silent,
  });
});

afterEach(() => handover.stop());

/** A clock that takes the place of the real one until the end of the test. */
function startClock(t: TestContext): VirtualClock {
  const clock = new VirtualClock();
  const installed = clock.install();
  t.after(() => {
    installed[Symbol.dispose]();
  });
  return clock;
}

const isComplete = (): boolean => handover.isComplete;

describe('Handover', () => {
  it('asks three of the closest for what is near this node', async () => {
    handsOver = () => [{ envelope: announcement.envelope, ageMs: 7 }];
    assert.equal(isComplete(), false);
    handover.start(known);
    await until(isComplete);
    const near = closest(self.prefix, verified, 32);
    assert.deepEqual(asked, near.slice(0, 3));
    const [farthest] = near.slice(-1);
    assert.ok(farthest);
    const range = { point: self.prefix, distance: distanceTo(self.prefix, farthest) };
    assert.deepEqual(ranges, [range, range, range]);
    assert.deepEqual(
      taken.map(([{ provider }, ageMs, from]) => [provider.toString(), ageMs, from]),
      [[announcement.provider.toString(), 7, near[0]?.text]],
      'the same announcement is taken once',
    );
  });

  it('asks for all where it knows too few to be sure that others are closer', async () => {
    verified = peers.slice(0, 31);
    handover.start(known);
    await until(isComplete);
    assert.equal(ranges[0]?.distance, 2 ** 32 - 1);
  });

  it('asks the next when a neighbour fails, and skips those that it cannot ask', async () => {
    const near = closest(self.prefix, verified, 32);
    speaks = (text) => text !== near[0]?.text;
    connected = (text) => text !== near[1]?.text;
    handsOver = (peer) => {
      if (peer === near[2]) throw new Error('no answer');
      return [];
    };
    handover.start(known);
    await until(isComplete);
    assert.deepEqual(asked, near.slice(2, 6));
  });

  it('takes an announcement again that another neighbour says to be younger', async () => {
    const order = [9, 10, 7];
    handsOver = () => [{ envelope: announcement.envelope, ageMs: order.shift() ?? 0 }];
    handover.start(known);
    await until(isComplete);
    assert.deepEqual(
      taken.map(([, ageMs]) => ageMs),
      [9, 7],
    );
  });

  it('takes also what neighbours have that are not complete, and asks for three that are', async () => {
    const near = closest(self.prefix, verified, 32);
    incomplete = new Set([near[0], near[2]].filter((peer) => peer !== undefined));
    handsOver = (peer) => (peer === near[0] ? [{ envelope: other.envelope, ageMs: 0 }] : []);
    handover.start(known);
    await until(isComplete);
    assert.deepEqual(asked, near.slice(0, 5));
    assert.equal(taken.length, 1);
  });

  it('is complete after one neighbour that is, when no other is', async () => {
    const near = closest(self.prefix, verified, 32);
    incomplete = new Set(near.filter((_, at) => at !== 15));
    handover.start(known);
    await until(isComplete);
    assert.deepEqual(asked, near.slice(0, 16));
  });

  it('asks again until a neighbour has answered', async (t) => {
    const clock = startClock(t);
    let failures = 0;
    handsOver = () => {
      if (++failures <= verified.length) throw new Error('no answer');
      return [];
    };
    handover.start(known);
    await clock.run(1000);
    assert.deepEqual([failures, isComplete()], [16, false]);
    await clock.run(91_000);
    assert.equal(isComplete(), true);
  });

  it('stores nothing that is forged, and what else the neighbour has', async () => {
    const forged = Uint8Array.from(announcement.envelope);
    forged[50] = (forged[50] ?? 0) ^ 1;
    const envelopes = [forged, Uint8Array.of(1, 2, 3), new Uint8Array(0), other.envelope];
    handsOver = () => envelopes.map((envelope) => ({ envelope, ageMs: 0 }));
    handover.start(known);
    await until(isComplete);
    assert.deepEqual(
      taken.map(([{ provider }]) => provider.toString()),
      [other.provider.toString()],
    );
  });

  it('takes the right announcement after a forged one with the same signature', async () => {
    const forged = Uint8Array.from(announcement.envelope);
    forged[50] = (forged[50] ?? 0) ^ 1;
    const [first] = closest(self.prefix, verified, 1);
    handsOver = (peer) => [{ envelope: peer === first ? forged : announcement.envelope, ageMs: 0 }];
    handover.start(known);
    await until(isComplete);
    assert.equal(taken.length, 1);
  });

  it('asks again when many of the neighbours are others, and not when a few are', async (t) => {
    const clock = startClock(t);
    handover.start(known);
    await clock.run(1000);
    assert.equal(isComplete(), true);
    const near = closest(self.prefix, verified, 20);
    const rest = verified.filter((peer) => !near.includes(peer));
    asked = [];
    verified = [...near.slice(4), ...rest];
    await clock.run(100_000);
    assert.equal(asked.length, 0);
    verified = rest;
    await clock.run(31_000);
    assert.equal(asked.length, 3);
  });

  it('asks nothing in a small network, where it is complete', async () => {
    scale.isLargeForSome = false;
    handover.start(known);
    assert.equal(isComplete(), true);
    await new Promise(setImmediate);
    scale.isLargeForSome = true;
    assert.deepEqual([isComplete(), asked], [false, []]);
    await until(isComplete);
  });

  it('waits until this node knows its neighbours, and may stop before', async () => {
    handover.start(new Promise(() => undefined));
    await new Promise(setImmediate);
    assert.equal(asked.length, 0);
    await handover.stop();
    assert.equal(isComplete(), false);
  });

  it('is not complete by neighbours that are not, before two minutes have gone by', async (t) => {
    const clock = startClock(t);
    incomplete = new Set(verified);
    handover.start(known);
    await clock.run(100);
    assert.deepEqual([asked.length, isComplete()], [16, false]);
    await clock.run(30_000);
    assert.deepEqual([asked.length, isComplete()], [32, false], 'it asks again');
    await clock.run(89_000);
    assert.equal(isComplete(), false);
    await clock.run(31_000);
    assert.equal(isComplete(), true);
  });

  it('is complete after two minutes without any neighbour', async (t) => {
    const clock = startClock(t);
    verified = [];
    handover.start(known);
    await clock.run(119_000);
    assert.equal(isComplete(), false);
    await clock.run(3000);
    assert.deepEqual([isComplete(), asked], [true, []]);
  });
});
