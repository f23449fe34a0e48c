import assert from 'node:assert/strict';
import { after, before, suite, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { agentEnvironment, PORTS } from '../harness/agent-process.ts';
import type { Child } from '../harness/child.ts';
import { unknownPaths } from '../harness/convergence.ts';
import { ask, untilPeers } from '../harness/finding.ts';
import { LightCluster } from '../harness/light-cluster.ts';
import type { LightNode } from '../harness/light-node.ts';
import { sumOfSamples } from '../harness/metric-text.ts';
import { scenario } from '../harness/scenario.ts';
import { waitFor } from '../harness/wait.ts';
import { loggedHosts } from './support/asking.ts';
import { FalseMember } from './support/false-member.ts';

const IDENTITIES = fileURLToPath(new URL('support/identities-main.ts', import.meta.url));
const CONNECTIONS = fileURLToPath(new URL('support/connections-main.ts', import.meta.url));
const AGENTS = 4;
/** What is asked for of one node, and how much of it must be found at once: without the defence it was 3 of 20. */
const ASKED = 20;
const FOUND_AT_ONCE = 15;
/** Asked for afterwards, and held by no node. */
const UNKNOWN = 5;
const MANY = 80;
/** Silent connections of one host with one node, which keeps 64 of them for five seconds. */
const SILENT = 500;
/** Long enough for records to be placed at the members of the moment. */
const PLACED_MS = 3000;

/** Agents, and a host that has many identities or many connections. */
suite('many identities', () => {
  let cluster: LightCluster;
  let attack: Child | undefined;

  before(async () => {
    cluster = await LightCluster.create({ nodes: AGENTS, bootstrap: 'first-node' });
    for (const node of cluster.nodes) node.start();
    await untilPeers(cluster.nodes, AGENTS - 1);
  });
  after(async () => {
    await attack?.stop();
    await cluster[Symbol.asyncDispose]();
  });

  /** One identity after another joins the agents from one host. Gives the number of those that could. */
  async function identities(name: string, swarmKeyFile?: string): Promise<number> {
    await attack?.stop();
    const routers = cluster.nodes.map(({ host }) => `/ip4/${host.address}/tcp/${PORTS.router}`);
    const words = [String(MANY), String(PORTS.router), ...routers];
    const child = (await cluster.network.addHost(name)).start('identities', {
      env: {
        ...agentEnvironment(),
        ...(swarmKeyFile !== undefined && { SWARM_KEY_FILE: swarmKeyFile }),
      },
      command: [process.execPath, IDENTITIES, ...words],
    });
    attack = child;
    const text = await waitFor(
      'the identities have tried',
      async () => /^joined \d+$/m.exec(await child.logTail(3))?.[0],
      { timeoutMs: 90_000 },
    );
    return Number(text.slice('joined '.length));
  }

  /**
   * A holder starts with new content, then a new node, which is asked for all of it at once. In its first seconds a node under
   * attack may miss some, which then come from the registry; asked again, it finds all.
   */
  async function assertNewNodeFinds(
    t: TestContext,
    holder: LightNode,
    name: string,
  ): Promise<void> {
    await holder.kill();
    const paths = (await holder.addImage(name, ASKED)).slice(0, ASKED);
    holder.start();
    await waitFor('the holder has advertised its keys', async () => {
      const directory = await holder.directory();
      return (
        (directory?.peers ?? 0) >= AGENTS - 1 && directory?.advertisedKeys === holder.paths.length
      );
    });
    await sleep(PLACED_MS);
    const node = await cluster.addNode();
    node.start();
    await waitFor('the new node knows the agents', async () => {
      return ((await node.directory())?.peers ?? 0) >= AGENTS;
    });
    const { statuses, median, slowest } = await ask([node], () => paths);
    const times = `median ${median.toFixed(0)} ms, slowest ${slowest.toFixed(0)} ms`;
    t.diagnostic(`a new node at once: ${JSON.stringify(statuses)}, ${times}`);
    assert.ok((statuses[200] ?? 0) >= FOUND_AT_ONCE, 'found at once');
    await waitFor('the new node finds all', async () => {
      return (await ask([node], () => paths)).statuses[200] === ASKED;
    });
    // It may have got all records itself. Of what no node holds it must ask.
    const misses = await ask([node], () => unknownPaths(UNKNOWN));
    t.diagnostic(`what no node holds: ${JSON.stringify(misses.statuses)}`);
    assert.deepEqual(misses.statuses, { 404: UNKNOWN });
    await node.kill();
    cluster.remove(node);
  }

  function holderOf(nodes: readonly LightNode[]): LightNode {
    const [, holder] = nodes;
    assert.ok(holder !== undefined);
    return holder;
  }

  async function refused(nodes: readonly LightNode[]): Promise<number> {
    const texts = await Promise.all(nodes.map(async (node) => (await node.admin('/metrics')).text));
    return texts.reduce((sum, text) => sum + sumOfSamples(text, 'peerglass_refused_total', {}), 0);
  }

  scenario(
    'with the key, at one address, hide nothing from a new node',
    () => cluster,
    async ({ nodes }, t) => {
      assert.equal(await identities('members'), MANY);
      await assertNewNodeFinds(t, holderOf(nodes), 'among-members');
    },
  );

  scenario(
    'without the key do not join, and hide nothing from a new node',
    () => cluster,
    async ({ nodes }, t) => {
      assert.equal(await identities('strangers', ''), 0);
      await untilPeers(nodes, AGENTS - 1);
      assert.ok((await refused(nodes)) > 0);
      await assertNewNodeFinds(t, holderOf(nodes), 'among-strangers');
    },
  );

  scenario(
    'that a member invents, thousands of them, hide nothing from a new node and do not keep it from joining',
    () => cluster,
    async ({ nodes, network }, t) => {
      await attack?.stop();
      const [first] = nodes;
      assert.ok(first !== undefined);
      await using liar = await FalseMember.start(await network.addHost('liar'), first.host.address);
      await liar.order('dead');
      await untilPeers(nodes, AGENTS);
      await assertNewNodeFinds(t, holderOf(nodes), 'among-invented');
      const asked = await liar.asked();
      t.diagnostic(`the liar was asked ${JSON.stringify(asked)}`);
      assert.ok(asked.findNode > 0 && asked.getProviders > 0);
    },
  );

  for (const [what, words] of [
    ['silent connections', ''],
    ['connections that speak without the key', '\u0013/multistream/1.0.0\n'],
  ] as const) {
    scenario(
      `hundreds of ${what} from one host keep no node from joining, and hide nothing`,
      () => cluster,
      async ({ nodes, network }, t) => {
        await attack?.stop();
        const [first] = nodes;
        assert.ok(first !== undefined);
        const host = await network.addHost(words === '' ? 'silent' : 'greeter');
        const target = [first.host.address, String(PORTS.router), JSON.stringify(words)];
        const child = host.start('connections', {
          command: [process.execPath, CONNECTIONS, String(SILENT), ...target],
        });
        attack = child;
        await waitFor('the connections were tried', async () =>
          (await child.logTail(1)).includes('open'),
        );
        await assertNewNodeFinds(t, holderOf(nodes), `among-${host.name}`);
        const count = await refused([first]);
        t.diagnostic(`${count} refused`);
        assert.ok(count > 0);
        const logged = await loggedHosts(first.host, 'connections');
        const lines = logged.filter((it) => it.endsWith(host.address));
        assert.equal(lines.length, 1, logged.join());
      },
    );
  }
});
