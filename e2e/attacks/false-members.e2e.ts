import assert from 'node:assert/strict';
import { after, before, suite } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import type { Child } from '../harness/child.ts';
import { summary, tell, unknownPaths } from '../harness/convergence.ts';
import { ask, everyoneFindsEverything } from '../harness/finding.ts';
import { LightCluster } from '../harness/light-cluster.ts';
import { scenario } from '../harness/scenario.ts';
import { FALSEHOODS } from './support/false-answer.ts';
import { FalseMember, startMembers } from './support/false-member.ts';

const AGENTS = 5;
/**
 * With the agents they are more than the 20 that keep the records of a key: look-ups have to ask others. On several hosts:
 * an agent takes eight of each for members.
 */
const MEMBER_HOSTS = ['m1', 'm2', 'm3'];
const MEMBERS_OF_HOST = 8;
/** From then on a member counts as one that knows all records of its keys, and is asked first. */
const ESTABLISHED_MS = 32_000;
/** Enough keys for some whose look-up begins at the liar. */
const LAYERS = 30;
/**
 * A limit against hangs: a node that was asked for a key before it had read its content is not asked for it again for a
 * minute.
 */
const JOINED_MS = 240_000;
/** Far above the time of any miss, and below that for which containerd waits. */
const MAX_ANSWER_MS = 10_000;

/** Agents among honest members, and one member that lies about who is there and who holds what. */
suite('a false member', () => {
  let cluster: LightCluster;
  const members: Child[] = [];
  let liar: FalseMember;
  let joined: number;

  before(async () => {
    cluster = await LightCluster.create({ nodes: AGENTS, bootstrap: 'first-node' });
    const { network, nodes } = cluster;
    const [first, ...others] = nodes;
    assert.ok(first !== undefined);
    first.start();
    const { address } = first.host;
    for (const name of MEMBER_HOSTS) {
      members.push(await startMembers(await network.addHost(name), MEMBERS_OF_HOST, address));
    }
    liar = await FalseMember.start(await network.addHost('liar'), address);
    // Only now: in a network of 20 members each would get all records, and would not need to ask.
    for (const node of others) node.start();
    joined = performance.now();
  });
  after(async () => {
    await liar[Symbol.asyncDispose]();
    for (const each of members) await each.stop();
    await cluster[Symbol.asyncDispose]();
  });

  for (const [index, kind] of FALSEHOODS.entries()) {
    scenario(
      `that answers with ${kind} hides no key, and no miss lasts long`,
      () => cluster,
      async ({ nodes }, t) => {
        await liar.order(kind);
        const left = joined + ESTABLISHED_MS - performance.now();
        if (left > 0) {
          t.diagnostic(`at first: ${summary(await everyoneFindsEverything(nodes))}`);
          await sleep(left);
        }
        t.diagnostic(`established: ${summary(await everyoneFindsEverything(nodes))}`);
        // One that joins by the liar's address, and has new content.
        const newcomer = nodes[1 + (index % (AGENTS - 1))];
        assert.ok(newcomer !== undefined);
        await newcomer.kill();
        newcomer.bootstrap = [liar.host.address, ...(newcomer.bootstrap ?? [])];
        await newcomer.addImage(`among-${kind}`, LAYERS);
        newcomer.start();
        const found = await everyoneFindsEverything(nodes, JOINED_MS);
        t.diagnostic(`one joined by the liar: ${summary(found)}`);
        const misses = await ask(nodes, () => unknownPaths(20));
        tell(t, 'what no node holds', misses, [404]);
        assert.ok(misses.slowest < MAX_ANSWER_MS, `${misses.slowest} ms`);
        const asked = await liar.asked();
        t.diagnostic(`the liar was asked ${JSON.stringify(asked)}`);
        assert.ok(asked.findNode > 0 && asked.getProviders > 0);
      },
      { timeoutMs: 480_000 },
    );
  }
});
