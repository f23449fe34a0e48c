import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';

import { randomPeers } from '../../testing/announcements.ts';
import { closest, K } from '../dht/kademlia.ts';
import { routingKey } from '../dht/key.ts';
import type { DhtPeer } from '../node/membership.ts';
import { DecidingPeers } from './deciding-peers.ts';
import { firstWave } from './first-wave.ts';

const key = routingKey('key');
const [one, ...others] = await randomPeers(41);
assert.ok(one);
/** This node is far from the key. */
const self = { ...one, prefix: ~key.target >>> 0 };
/** The closest first. */
const ranked = closest(key.target, others, 40);
const textsOf = (peers: readonly DhtPeer[] = []): string[] => peers.map(({ text }) => text);

/** Those that others have named, and with which this node is not connected. The others have been here for long. */
let strangers: Set<string>;
let unresponsive: Set<string>;
let hosts: Map<string, string>;

beforeEach(() => {
  strangers = new Set();
  unresponsive = new Set();
  hosts = new Map();
});

function wave({ isLarge = false, own = self, ranking = ranked } = {}) {
  const membership = {
    isConnected: (text: string) => !strangers.has(text),
    isContact: (text: string) => strangers.has(text),
    isEstablished: (text: string) => !strangers.has(text),
    isUnresponsive: (text: string) => unresponsive.has(text),
    hostOf: ({ text }: { readonly text: string }) => hosts.get(text),
  };
  const deciding = new DecidingPeers({ membership, scale: { isLarge } });
  const components = { self: own, membership, isEstablished: () => true };
  return firstWave(components, deciding, key, ranking);
}

const invent = (count: number): void => {
  for (const { text } of ranked.slice(0, count)) strangers.add(text);
};

describe('firstWave', () => {
  it('is the three closest, and the next one as a spare', () => {
    const { peers, spares, quorum, nearest } = wave() ?? {};
    assert.deepEqual(textsOf(peers), textsOf(ranked.slice(0, 3)));
    assert.deepEqual(textsOf(spares), textsOf(ranked.slice(3, 4)));
    assert.deepEqual(textsOf(nearest), textsOf(ranked.slice(0, K)));
    assert.equal(quorum, 3);
  });

  it('is two, when this node is one of the closest', () => {
    const { peers, quorum } = wave({ own: { ...self, prefix: key.target } }) ?? {};
    assert.deepEqual(textsOf(peers), textsOf(ranked.slice(0, 2)));
    assert.equal(quorum, 2);
  });

  it('has the two closest connected members as spares, when all closer ones are strangers', () => {
    invent(30);
    const { peers, spares } = wave() ?? {};
    assert.deepEqual(textsOf(peers), textsOf(ranked.slice(0, 3)));
    assert.deepEqual(textsOf(spares), textsOf(ranked.slice(30, 32)));
  });

  it('has them also when only one of the first is a stranger', () => {
    strangers.add(ranked[1]?.text ?? '');
    assert.deepEqual(textsOf(wave()?.spares), textsOf(ranked.slice(3, 5)));
  });

  it('leaves out connected members that did not answer lately', () => {
    invent(30);
    unresponsive.add(ranked[30]?.text ?? '');
    assert.deepEqual(textsOf(wave()?.spares), textsOf(ranked.slice(31, 33)));
  });

  it('prefers spares at hosts of which none is asked already', () => {
    // The closest three are of three hosts; of one of these are the next, too.
    for (const index of [0, 3, 4]) hosts.set(ranked[index]?.text ?? '', '10.0.0.66');
    assert.deepEqual(textsOf(wave()?.spares), textsOf(ranked.slice(5, 6)), 'all are connected');
    strangers.add(ranked[1]?.text ?? '');
    assert.deepEqual(textsOf(wave()?.spares), textsOf(ranked.slice(5, 7)));
  });

  it('has the next stranger as a spare, when it is connected with none', () => {
    invent(40);
    assert.deepEqual(textsOf(wave()?.spares), textsOf(ranked.slice(3, 4)));
  });

  it('has one spare of each half in a large network, where a node is connected with few of the closest', () => {
    invent(30);
    const { peers = [], spares = [] } = wave({ isLarge: true }) ?? {};
    assert.equal(peers.length, 4);
    assert.equal(spares.length, 2);
    assert.ok(spares.every(({ text }) => strangers.has(text)));
  });

  it('is none with too few peers', () => {
    // Among so few this node is one of the closest.
    assert.equal(wave({ ranking: ranked.slice(0, 2) }), undefined);
    assert.notEqual(wave({ ranking: ranked.slice(0, 3) }), undefined);
  });
});
