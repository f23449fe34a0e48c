import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import type { Connection } from '@libp2p/interface';

import { Seeded } from '../../testing/seeded.ts';
import { SimulatedNetwork } from '../../testing/simulated-network.ts';
import { warmLinks } from '../../testing/simulation/warm-links.ts';
import { closest } from '../dht/kademlia.ts';
import type { DhtPeer } from '../node/membership.ts';
import { ConnectionBudget, NEAR } from '../discovery/connection-budget.ts';

const MAX = 150;

/** Nodes that know each other, connected as those of a network that has run for long; without messages. */
async function start(t: TestContext, count: number) {
  t.mock.timers.enable({ apis: ['Date'], now: 0 });
  const { peers } = await SimulatedNetwork.open(count);
  const byText = new Map(peers.map((peer) => [peer.text, peer]));
  const connections = new Map(peers.map((peer) => [peer, new Map<DhtPeer, Connection>()]));
  const of = (peer: DhtPeer): Map<DhtPeer, Connection> =>
    connections.get(peer) ?? new Map<DhtPeer, Connection>();
  const budgets = new Map(
    peers.map((self) => {
      const members = peers.filter((peer) => peer !== self);
      const isConnected = (text: string): boolean => of(self).has(byText.get(text) ?? self);
      const membership = { members: () => members, isConnected };
      const scale = { isLarge: true, size: count };
      return [self, new ConnectionBudget({ self, membership, scale }, MAX)];
    }),
  );
  const figures = { dials: 0, made: 0, ended: 0 };
  const end = (peer: DhtPeer): DhtPeer[] => {
    const excess = budgets.get(peer)?.excess([...of(peer).values()]) ?? [];
    return excess.map(({ remotePeer }) => {
      const other = byText.get(remotePeer.toString()) ?? peer;
      of(peer).delete(other);
      of(other).delete(peer);
      figures.ended += 1;
      return other;
    });
  };
  const link = (dialler: DhtPeer, listener: DhtPeer): void => {
    const timeline = { open: Date.now() };
    for (const [near, far, direction] of [
      [dialler, listener, 'outbound'],
      [listener, dialler, 'inbound'],
    ] as const) {
      of(near).set(far, { remotePeer: far.id, direction, timeline } as unknown as Connection);
    }
  };
  /** What the connector of a node does whose connections were ended. */
  const replace = (peer: DhtPeer): void => {
    const budget = budgets.get(peer);
    const strangers = peers.filter((other) => other !== peer && !of(peer).has(other));
    if (budget?.hasRoom(of(peer).size) !== true) return;
    const other = budget.buckets().poorest(strangers);
    if (other === undefined) return;
    link(peer, other);
    figures.made += 1;
  };
  for (const { dialler, listener } of warmLinks(peers, new Seeded('links').number)) {
    const [one, other] = [peers[dialler], peers[listener]];
    if (one && other) link(one, other);
  }
  return { peers, of, link, end, replace, figures };
}

describe('the connections of a whole network', () => {
  it('stay within the budget, without a neighbour lost or two nodes that make and end the same', async (t) => {
    const { peers, of, link, end, replace, figures } = await start(t, 300);
    const drawn = new Seeded('dials');
    const random = (): DhtPeer | undefined => peers[Math.floor(drawn.number() * peers.length)];
    let most = 0;
    // The first connections are old enough to be ended. Each node dials another at random every 30 seconds: a node of 1,000 dials every 25 in the simulation.
    for (let second = 61; second < 1800; second++) {
      t.mock.timers.setTime(second * 1000);
      for (let dial = 0; dial < peers.length / 30; dial++) {
        const [one, other] = [random(), random()];
        if (!one || !other || one === other || of(one).has(other)) continue;
        link(one, other);
        figures.dials += 1;
        for (const peer of [one, other]) {
          for (const released of end(peer)) replace(released);
          most = Math.max(most, of(peer).size);
        }
      }
    }
    t.mock.timers.setTime(1800_000 + 61_000);
    for (const peer of peers) end(peer);
    const sizes = peers.map((peer) => of(peer).size).sort((a, b) => a - b);
    assert.ok(Math.max(...sizes) <= MAX, `${Math.max(...sizes)} connections`);
    assert.ok(Math.min(...sizes) >= 100, `${Math.min(...sizes)} connections`);
    assert.ok(most <= MAX + 5, `${most} connections meanwhile`);
    assert.ok(figures.ended > 1000);
    assert.ok(figures.made < figures.dials / 100, `${figures.made} made as there were too few`);
    for (const peer of peers) {
      const others = peers.filter((other) => other !== peer);
      const near = closest(peer.prefix, others, NEAR);
      assert.ok(near.every((other) => of(peer).has(other)));
    }
    const median = sizes[Math.floor(sizes.length / 2)];
    t.diagnostic(
      `${median} in the median, ${Math.max(...sizes)} at most, ${most} meanwhile, ${JSON.stringify(figures)}`,
    );
  });
});
