import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';

import { multiaddr } from '@multiformats/multiaddr';

import { randomPeers, recordKeys } from '../../testing/announcements.ts';
import { silent } from '../../testing/test-network.ts';
import { K } from '../dht/kademlia.ts';
import { multihashOf } from '../dht/key.ts';
import type { AddressedPeer } from '../node/address-book.ts';
import { dhtPeer, type DhtPeer } from '../node/membership.ts';
import { DirectRecords } from './direct-records.ts';

const { signal } = new AbortController();
const [self, carrier, ...peers] = await randomPeers(90);
assert.ok(self && carrier);
const announcement = { provided: recordKeys(['a', 'b']) };
const MULTIHASHES = announcement.provided.map((key) => Buffer.from(multihashOf(key)));

let members: DhtPeer[];
/** Peers that `learn` refuses, as it does with those beyond the bound of the peer that has named them. */
let refused: Set<string>;
let learnt: [AddressedPeer, DhtPeer][];
let unresponsive: Set<string>;
let failing: Set<string>;
let sent: string[];
let atOnce: number;
let maxAtOnce: number;

const direct = new DirectRecords({
  self,
  client: {
    addProviders: async ({ text }, multihashes) => {
      assert.deepEqual(
        multihashes.map((each) => Buffer.from(each)),
        MULTIHASHES,
      );
      sent.push(text);
      maxAtOnce = Math.max(maxAtOnce, ++atOnce);
      await new Promise(setImmediate);
      atOnce -= 1;
      if (failing.has(text)) throw new Error('no answer');
      return 2;
    },
  },
  membership: {
    members: () => members,
    learn: (named, by) => {
      for (const each of named) {
        learnt.push([each, by]);
        const peer = peers.find(({ text }) => text === each.peerId);
        if (peer !== undefined && !refused.has(peer.text)) members.push(peer);
      }
      return named.length;
    },
    isUnresponsive: (text) => unresponsive.has(text),
    markUnresponsive: ({ text }) => unresponsive.add(text),
  },
  logger: silent,
});

beforeEach(() => {
  members = [];
  [refused, unresponsive, failing] = [new Set(), new Set(), new Set()];
  [learnt, sent] = [[], []];
  [atOnce, maxAtOnce] = [0, 0];
});

const addressed = ({ text, multiaddrs = [] }: DhtPeer) => ({ peerId: text, multiaddrs });
const textsOf = (some: readonly DhtPeer[]): string[] => some.map(({ text }) => text);

describe('DirectRecords', () => {
  it('sends the keys to each peer but this node, a few at a time', async () => {
    const count = await direct.send([self, ...peers.slice(0, 30)], announcement, signal);
    assert.equal(count, 30);
    assert.deepEqual(sent, textsOf(peers.slice(0, 30)));
    assert.equal(maxAtOnce, 8);
  });

  it('counts those that have taken them, and drops those that fail', async () => {
    failing = new Set(textsOf(peers.slice(0, 2)));
    assert.equal(await direct.send(peers.slice(0, 5), announcement, signal), 3);
    assert.deepEqual(unresponsive, failing);
  });

  it('drops no peer when its signal is aborted', async () => {
    failing = new Set(textsOf(peers));
    assert.equal(await direct.send(peers.slice(0, 5), announcement, AbortSignal.abort()), 0);
    assert.equal(unresponsive.size, 0);
  });

  it('sends nothing without a key', async () => {
    assert.equal(await direct.send(peers, { provided: [] }, signal), 0);
    assert.deepEqual(sent, []);
  });

  it('sends the keys to a bounded number of peers', async () => {
    assert.equal(await direct.send(peers, announcement, signal), 3 * K);
  });

  it('makes peers that a carrier has named contacts of its word, and sends to those it may', async () => {
    const addresses = [multiaddr('/ip4/10.0.0.7/tcp/5001')];
    const named = peers.slice(0, 4).map(({ id }) => dhtPeer(id, addresses));
    refused = new Set(textsOf(named.slice(0, 1)));
    unresponsive = new Set(textsOf(named.slice(1, 2)));
    assert.equal(await direct.sendNamed(named.map(addressed), carrier, announcement, signal), 2);
    assert.deepEqual(sent, textsOf(named.slice(2)));
    assert.deepEqual(
      learnt,
      named.map((peer) => [addressed(peer), carrier]),
    );
  });

  it('sends to a named peer at the addresses that it knows, not at those that are named', async () => {
    const [known] = peers;
    assert.ok(known);
    members = [known];
    const elsewhere = dhtPeer(known.id, [multiaddr('/ip4/10.6.6.6/tcp/1')]);
    refused.add(known.text);
    const named = [addressed(elsewhere)];
    assert.equal(await direct.sendNamed(named, carrier, announcement, signal), 1);
    assert.deepEqual([sent, unresponsive.size], [[known.text], 0]);
  });

  it('takes no more than so many from one carrier', async () => {
    const named = peers.map(addressed);
    assert.equal(await direct.sendNamed(named, carrier, announcement, signal), K);
    assert.equal(learnt.length, K);
  });
});
