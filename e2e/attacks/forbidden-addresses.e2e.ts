import assert from 'node:assert/strict';
import { after, before, suite } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { PORTS } from '../harness/agent-process.ts';
import type { Child } from '../harness/child.ts';
import { unknownPaths } from '../harness/convergence.ts';
import { LightCluster } from '../harness/light-cluster.ts';
import { sumOfSamples } from '../harness/metric-text.ts';
import type { Host } from '../harness/namespaces.ts';
import { scenario } from '../harness/scenario.ts';
import { waitFor } from '../harness/wait.ts';
import { loggedHosts } from './support/asking.ts';
import { FORBIDDEN_IPS, FORBIDDEN_PORTS } from './support/false-answer.ts';
import { FalseMember } from './support/false-member.ts';

const LISTENER = fileURLToPath(new URL('../harness/silent-registry-main.ts', import.meta.url));
/** Those that a host can have: the loopback ones are on each, and no host has a multicast address. */
const TRAP_IPS = FORBIDDEN_IPS.filter((ip) => !['127.0.0.1', '::1', '224.0.0.1'].includes(ip));
const TRAP_PORTS = [FORBIDDEN_PORTS.router, FORBIDDEN_PORTS.other, PORTS.registry];
/** Long enough for the agents to dial what they were told of. */
const DIALS_MS = 15_000;

/** A member names peers at addresses of something else, where a host of the test waits for connections. */
suite('a member that names addresses of something else', () => {
  let cluster: LightCluster;
  let liar: FalseMember;
  const traps: Child[] = [];
  let control: Child;

  before(async () => {
    cluster = await LightCluster.create({ nodes: 2, bootstrap: 'first-node' });
    const { network, nodes } = cluster;
    const trap = await network.addHost('trap');
    // Answers by IPv6 find their way back.
    await trap.execute(['ip', 'address', 'add', 'fd00:214::fe/64', 'dev', 'eth0', 'nodad']);
    for (const ip of TRAP_IPS) {
      const bits = ip.includes(':') ? 128 : 32;
      const words = ['dev', 'eth0', ...(bits === 128 ? ['nodad'] : [])];
      await trap.execute(['ip', 'address', 'add', `${ip}/${bits}`, ...words]);
      for (const { host } of nodes) {
        await host.execute(['ip', 'route', 'add', `${ip}/${bits}`, 'dev', 'eth0']);
      }
    }
    for (const port of TRAP_PORTS) traps.push(await listen(trap, port));
    for (const { host } of nodes) traps.push(await listen(host, FORBIDDEN_PORTS.other));
    control = await listen(trap, 8098);
    for (const node of nodes) node.start();
    const [first] = nodes;
    assert.ok(first !== undefined);
    liar = await FalseMember.start(await network.addHost('liar'), first.host.address);
  });
  after(async () => {
    await liar[Symbol.asyncDispose]();
    for (const trap of [...traps, control]) await trap.stop();
    await cluster[Symbol.asyncDispose]();
  });

  scenario(
    'has no node connect with one of them, for the DHT or for content',
    () => cluster,
    async ({ nodes }, t) => {
      // The ways to the traps work.
      const [first] = nodes;
      for (const ip of TRAP_IPS) {
        const url = `http://${ip.includes(':') ? `[${ip}]` : ip}:8098/`;
        const signal = AbortSignal.timeout(2000);
        await first?.host.fetch(url, { signal }).catch(() => undefined);
      }
      const arrived = (await control.logTail(100)).match(/connection from/g) ?? [];
      assert.ok(arrived.length >= TRAP_IPS.length, await control.logTail(100));

      await liar.order('forbidden');
      for (const node of nodes) {
        for (const path of unknownPaths(30)) await node.head(path);
      }
      await sleep(DIALS_MS);
      const asked = await liar.asked();
      assert.ok(asked.getProviders > 0 && asked.findNode > 0, JSON.stringify(asked));
      for (const trap of traps) assert.doesNotMatch(await trap.logTail(100), /connection from/);
      for (const node of nodes) {
        const response = await node.host.fetch(`http://127.0.0.1:${PORTS.metrics}/metrics`);
        const refused = { reason: 'address' };
        const count = sumOfSamples(await response.text(), 'peerglass_refused_total', refused);
        t.diagnostic(`${node.name}: ${count} refused`);
        assert.ok(count > 0);
        const logged = await loggedHosts(node.host, 'address');
        assert.ok(logged.length > 0);
        assert.equal(new Set(logged).size, logged.length, `each is logged once: ${logged.join()}`);
      }
    },
  );
});

async function listen(host: Host, port: number): Promise<Child> {
  const child = host.start(`listener-${port}`, {
    command: [process.execPath, LISTENER, String(port)],
  });
  await waitFor(`${host.name} listens at ${port}`, async () =>
    (await child.logTail()).includes('listening'),
  );
  return child;
}
