import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { SimulatedNetwork } from '../../../agent/testing/simulation/simulated-network.ts';
import { advertise, agreement, lookUpKeys, measureTraffic, replace } from './simulated-scenario.ts';

describe('a simulated scenario', () => {
  it('finds advertised keys, agrees on members, and counts the traffic of each member', async () => {
    using network = await SimulatedNetwork.open({ count: 25, spreadMs: 2500 });
    await network.clock.run(60_000);
    const provider = network.members[3];
    assert.ok(provider);
    const keys = advertise(provider, 40);
    await network.clock.run(5000);
    const { foundPercent, lookups } = await lookUpKeys(network, keys, 1000);
    assert.equal(foundPercent, 100);
    assert.equal(lookups.length, 40);
    const agreed = await agreement(network, 20);
    assert.deepEqual(agreed, { agreedPercent: 100, rightPercent: 100 });
    let minutes = 0;
    const traffic = await measureTraffic(network, 120_000, () => minutes++);
    assert.deepEqual([minutes, traffic.seconds], [2, 120]);
    // Each node is probed by others all the time.
    for (const member of network.members) assert.ok((traffic.messages.get(member) ?? 0) > 0);
  });

  it('replaces members by new ones', async () => {
    using network = await SimulatedNetwork.open({ count: 10, spreadMs: 1000 });
    await network.clock.run(30_000);
    const [kept] = network.members;
    const before = new Set(network.members);
    await replace(network, 4, 8000, (member) => member !== kept);
    assert.equal(network.members.length, 10);
    assert.ok(network.members.filter((member) => before.has(member)).length >= 6);
    assert.ok(kept && network.members.includes(kept));
    await network.clock.run(60_000);
    for (const { router } of network.members) assert.equal(router.status().peers, 9);
  });
});
