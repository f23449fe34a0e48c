import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { SimulatedNetwork } from './simulated-network.ts';

const keys = Array.from({ length: 50 }, (_, index) => `key ${index}`);

describe('SimulatedNetwork', () => {
  it('has routers that meet, provide keys and find them, also after deaths and replacements', async () => {
    using network = await SimulatedNetwork.open({ count: 30, spreadMs: 5000 });
    await network.clock.run(30_000);
    for (const { router } of network.members) assert.equal(router.status().peers, 29);
    const [, provider, asker] = network.members;
    assert.ok(provider && asker);
    const look = async (key: string) => {
      const [lookup] = await Promise.all([network.lookUp(asker, key), network.clock.run(5000)]);
      return lookup;
    };
    await Promise.all([provider.router.advertise(keys), network.clock.run(5000)]);
    const lookups = [];
    for (const key of keys) lookups.push(await look(key));
    assert.ok(lookups.every(({ found }) => found));
    const asked = lookups.find(({ requests }) => requests > 0);
    assert.deepEqual([asked?.rounds, asked?.milliseconds], [1, 1]);
    const missed = await look('no key');
    assert.deepEqual([missed.found, missed.rounds], [false, 1]);

    network.kill(network.members.slice(20, 25));
    await network.clock.run(10_000);
    assert.equal(network.members.length, 25);
    for (const { router } of network.members) assert.equal(router.status().peers, 24);
    const added = await network.add();
    await network.clock.run(30_000);
    assert.equal(added.router.status().peers, 25);
    for (const key of keys) assert.ok((await look(key)).found);
  });

  it('withdraws records when a member stops, and keeps them when it is off the network', async () => {
    using network = await SimulatedNetwork.open({ count: 5, spreadMs: 100, toldOfAll: true });
    await network.clock.run(10_000);
    const [first, second, third] = network.members;
    assert.ok(first && second && third);
    for (const [index, { router }] of [second, third].entries()) {
      await Promise.all([router.advertise([`key ${index}`]), network.clock.run(1000)]);
    }
    assert.equal(first.router.status().records, 2);
    await Promise.all([network.stop(second), network.clock.run(1000)]);
    assert.equal(first.router.status().records, 1);
    network.partition([third]);
    await network.clock.run(60_000);
    assert.equal(first.router.status().records, 1);
    assert.equal(first.router.status().peers, 2);
  });

  it('has a warm network at once', async () => {
    using network = await SimulatedNetwork.open({ count: 170, isWarm: true });
    const counts = network.members.map(({ node }) => node.connectionCount);
    assert.ok(Math.min(...counts) >= 120, String(Math.min(...counts)));
    assert.ok(Math.max(...counts) <= 165, String(Math.max(...counts)));
    await network.clock.run(5000);
    // The first look-ups add some, which are ended when they are a minute old.
    for (const { node } of network.members) assert.ok(node.connectionCount <= 250);
    const [, provider] = network.members;
    assert.ok(provider);
    await Promise.all([provider.router.advertise(keys), network.clock.run(5000)]);
    for (const [index, key] of keys.entries()) {
      const asker = network.members[50 + index];
      assert.ok(asker);
      const [{ found }] = await Promise.all([network.lookUp(asker, key), network.clock.run(1000)]);
      assert.ok(found, key);
    }
  });

  it('knows which member is the closest to a key', async () => {
    using network = await SimulatedNetwork.open({ count: 8, spreadMs: 100 });
    await network.clock.run(10_000);
    for (const key of keys) {
      const nearest = network.closestTo(key)?.router.peerId;
      for (const { router } of network.members) {
        const [closest] = await router.closest(key, 1);
        assert.equal(closest?.peerId, nearest);
      }
    }
  });
});
