import assert from 'node:assert/strict';
import { after, before, suite } from 'node:test';
import { fileURLToPath } from 'node:url';

import type { Child } from '../harness/child.ts';
import type { ClusterNode } from '../harness/cluster.ts';
import type { Host } from '../harness/namespaces.ts';
import { scenario } from '../harness/scenario.ts';
import { waitFor } from '../harness/wait.ts';
import { Herd } from '../scenarios/support/herd.ts';
import { FORBIDDEN_PORTS } from './support/false-answer.ts';
import {
  LIES,
  startFalseArbiter,
  type FalseArbiter,
  type Mischief,
} from './support/false-arbiter.ts';

const LISTENER = fileURLToPath(new URL('../harness/silent-registry-main.ts', import.meta.url));
/** So that nodes wait for liars as long as they may, and the tests do not take minutes. */
const FLAGS = ['--follow-timeout', '1s'];
const NODES = ['a', 'b', 'c'].map((name) => ({ suite: 'forky', name, flags: FLAGS }) as const);
const LIARS = 3;
/** Images that are pulled until a liar is asked: each takes a second or more. */
const ROUNDS = 10;
/** Twelve layers, of which the first are large enough to be forwarded as they arrive. */
const LAYERS = Array.from({ length: 12 }, (_, at) => (at < 3 ? 5_000_000 : 10_000 + at));
/** What a metadata service of a cloud has. */
const TRAP_IP = '169.254.169.254';

/** Three honest nodes, and three members that are the closest to every second digest. */
suite('a member that lies about downloads', () => {
  let herd: Herd;
  const liars: FalseArbiter[] = [];
  const traps: Child[] = [];

  before(async () => {
    herd = await Herd.start(NODES);
    const { network } = herd.cluster;
    const addresses = herd.nodes.map(({ host }) => host.address);
    const trap = await network.addHost('trap');
    await trap.execute(['ip', 'address', 'add', `${TRAP_IP}/32`, 'dev', 'eth0']);
    for (const { host } of herd.nodes) {
      await host.execute(['ip', 'route', 'add', `${TRAP_IP}/32`, 'dev', 'eth0']);
    }
    for (const host of [trap, ...herd.nodes.map((node) => node.host)]) {
      traps.push(await listen(host, FORBIDDEN_PORTS.other));
    }
    await assertReachable(trap, herd.nodes);
    for (let at = 0; at < LIARS; at++) {
      liars.push(await startFalseArbiter(await network.addHost(`liar${at}`), addresses));
    }
  });
  after(async () => {
    for (const liar of liars) await liar[Symbol.asyncDispose]();
    for (const trap of traps) await trap.stop();
    await herd[Symbol.asyncDispose]();
  });

  for (const lie of LIES) {
    scenario(
      `with ${lie} fails no pull`,
      () => herd,
      async (_, t) => {
        let isArbiter = false;
        // Members whose answers were of no use in the scenario before come last for five seconds.
        for (let round = 1; round <= ROUNDS && !isArbiter; round++) {
          const fixture = await herd.image(`${lie}-${String(round)}`, LAYERS);
          const drips = lie === 'follow-dripping' ? { drips: fixture.layout } : {};
          for (const liar of liars) await liar.order({ lie, ...drips });
          const start = performance.now();
          await herd.pullOnAll(fixture);
          t.diagnostic(`pulled in ${Math.round(performance.now() - start)} ms`);
          const orders = await Promise.all(liars.map((liar) => liar.order({})));
          isArbiter = orders.some(({ asked }) => asked > 0);
        }
        assert.ok(isArbiter, 'no liar was an arbiter');
        for (const trap of traps) assert.doesNotMatch(await trap.logTail(100), /connection from/);
      },
    );
  }

  for (const [what, deedsFor] of [
    ['asks each node 10,000 questions a second', () => ({ questionsPerSecond: 10_000 })],
    ['claims to hold everything', (claims) => ({ claims })],
  ] satisfies [string, (digests: readonly string[]) => Mischief][]) {
    scenario(
      `that ${what} fails no pull`,
      () => herd,
      async (_, t) => {
        const fixture = await herd.image('deeds', LAYERS);
        const deeds = deedsFor(fixture.image.blobs.map(({ digest }) => digest));
        for (const liar of liars) await liar.order({ lie: 'alone' });
        const [liar] = liars;
        assert.ok(liar !== undefined);
        await waitFor('it has begun', async () => (await liar.order(deeds)).sent > 0);
        const start = performance.now();
        await herd.pullOnAll(fixture);
        const ms = Math.round(performance.now() - start);
        const { sent } = await liar.order({});
        t.diagnostic(`pulled in ${ms} ms, beside ${sent} messages`);
      },
    );
  }
});

/** A connection to the address of the trap would arrive there. */
async function assertReachable(trap: Host, nodes: readonly ClusterNode[]): Promise<void> {
  await using control = await listen(trap, 8098);
  const url = `http://${TRAP_IP}:8098/`;
  for (const { host } of nodes) await host.fetch(url).catch(() => undefined);
  const arrived = (await control.logTail(100)).match(/connection from/g) ?? [];
  assert.ok(arrived.length >= NODES.length, await control.logTail(100));
}

async function listen(host: Host, port: number): Promise<Child> {
  const command = [process.execPath, LISTENER, String(port)] as const;
  const child = host.start(`listener-${port}`, { command });
  await waitFor(`${host.name} listens at ${port}`, async () =>
    (await child.logTail()).includes('listening'),
  );
  return child;
}
