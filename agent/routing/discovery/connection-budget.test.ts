import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Connection } from '@libp2p/interface';

import { SimulatedNetwork } from '../../testing/simulated-network.ts';
import { isAmongClosest } from '../dht/kademlia.ts';
import type { DhtPeer } from '../node/membership.ts';
import { ConnectionBudget, NEAR } from './connection-budget.ts';

const MINUTE_MS = 60_000;

/** The budget of a node that knows all of a large network, and makes connections with its members. */
async function open(count: number, maxConnections: number) {
  const { peers } = await SimulatedNetwork.open(count);
  const keeps = (one: DhtPeer, other: DhtPeer): boolean =>
    isAmongClosest(
      other,
      one.prefix,
      peers.filter((peer) => peer !== one && peer !== other),
      NEAR,
    );
  // Not all that are closest to a node have that node among the closest to them.
  const self = peers.find((one) => peers.some((other) => keeps(one, other) && !keeps(other, one)));
  assert.ok(self);
  const others = peers.filter((peer) => peer !== self);
  const budget = new ConnectionBudget(
    {
      self,
      membership: { members: () => others, isConnected: () => true },
      scale: { isLarge: true, size: count },
    },
    maxConnections,
  );
  const connect = (
    remotePeers: readonly DhtPeer[],
    direction: Connection['direction'],
    ageMs = 2 * MINUTE_MS,
  ): Connection[] =>
    remotePeers.map(({ id }) => {
      const timeline = { open: Date.now() - ageMs };
      return { remotePeer: id, direction, timeline } as unknown as Connection;
    });
  const near = others.filter((peer) => keeps(self, peer) || keeps(peer, self));
  const far = others.filter((peer) => !near.includes(peer));
  return { others, budget, connect, near, far };
}

describe('ConnectionBudget', () => {
  it('ends nothing until there is one connection too many, and then a tenth', async () => {
    const { budget, connect, far } = await open(600, 100);
    const made = connect(far, 'outbound');
    assert.equal(budget.isExceeded(100), false);
    assert.deepEqual(budget.excess(made.slice(0, 100)), []);
    assert.equal(budget.isExceeded(101), true);
    assert.equal(budget.excess(made.slice(0, 101)).length, 11);
  });

  it('ends those that others have made after its own', async () => {
    const { budget, connect, far } = await open(600, 100);
    const theirs = connect(far.slice(0, 90), 'inbound');
    const ours = connect(far.slice(90, 105), 'outbound');
    const ended = budget.excess([...theirs, ...ours]);
    assert.equal(ended.length, 15);
    assert.deepEqual(new Set(ended), new Set(ours));
    const more = budget.excess([...theirs, ...connect(far.slice(105, 130), 'inbound')]);
    assert.equal(more.length, 25);
  });

  it('keeps those with neighbours, and with nodes whose neighbour this one is', async () => {
    const { others, budget, connect, near, far } = await open(600, 50);
    const ended = budget.excess(connect(others, 'inbound'));
    const texts = new Set(ended.map(({ remotePeer }) => remotePeer.toString()));
    assert.deepEqual(texts, new Set(far.map(({ text }) => text)));
    assert.ok(near.length > 45, 'more than may be left');
  });

  it('keeps young ones, for a shorter time when there are far too many', async () => {
    const { budget, connect, far } = await open(600, 100);
    assert.deepEqual(budget.excess(connect(far.slice(0, 130), 'inbound', 30_000)), []);
    assert.equal(budget.excess(connect(far.slice(0, 134), 'inbound', 30_000)).length, 44);
    assert.deepEqual(budget.excess(connect(far.slice(0, 134), 'inbound', 5000)), []);
  });
});
