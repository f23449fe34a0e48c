import assert from 'node:assert/strict';
import { after, before, suite } from 'node:test';

import type { ClusterNode } from '../harness/cluster.ts';
import { writeHostsToml } from '../harness/hosts-toml.ts';
import { assertHoldsImage } from '../harness/image-check.ts';
import { waitUntilVisible } from '../harness/mirror.ts';
import { scenario } from '../harness/scenario.ts';
import { assertAllPulled, Herd, inOneRound, LAYER_BYTES, layerOf, RATE } from './support/herd.ts';

/** The registry fails in front of agents with `--upstream`. No containerd knows the registry, so only its agent can get the image. */
suite('agents with --upstream and a registry that fails', () => {
  let herd: Herd;

  before(async () => {
    herd = await Herd.start();
    for (const { agent, containerd } of herd.nodes) {
      await agent.restart(flags());
      await writeHostsToml(containerd.certsDir, herd.front.registry, 'http://127.0.0.1:5000');
    }
  });
  after(async () => {
    await herd[Symbol.asyncDispose]();
  });

  const flags = (): { readonly flags: string[] } => ({
    flags: ['--upstream', herd.front.origin],
  });

  scenario(
    'slow: one agent fetches for all',
    () => herd,
    async ({ front }, t) => {
      await front.behave({ rate: RATE });
      await inOneRound(t, async (round) => {
        const fixture = await herd.image(`slow${round}`, [LAYER_BYTES, 4_000_000, 20_000]);
        await herd.pullOnAll(fixture);
        const complaints: string[] = [];
        for (const { digest, size } of fixture.image.blobs) {
          const { length } = await herd.requestsFor(digest);
          if (length !== 1) complaints.push(`${length} times ${digest} of ${String(size)} bytes`);
        }
        return complaints;
      });
    },
  );

  scenario(
    'breaks off in the middle of a layer: each pull succeeds at the first try, from the same byte on',
    () => herd,
    async ({ front, nodes }) => {
      const [node] = nodes as [ClusterNode];
      const fixture = await herd.image('cut');
      const digest = layerOf(fixture.image);
      await front.behave({ rules: [{ path: digest, cutAfter: 5_000_000, times: 2 }] });
      await herd.pullOnAll(fixture, [node]);
      const [first, ...rest] = await herd.requestsFor(digest);
      assert.equal(first?.range, '');
      assert.equal(rest.length, 2);
      for (const { range } of rest) assert.match(range, /^bytes=[1-9]\d*-/);
    },
  );

  scenario(
    'sends wrong bytes: they are committed nowhere, and the next pulls get the right ones',
    () => herd,
    async ({ front, nodes }) => {
      const fixture = await herd.image('wrong');
      const digest = layerOf(fixture.image);
      await front.behave({ rules: [{ path: digest, flip: 3_000_000 }] });
      for (const { node, error } of await Promise.all(herd.pull(fixture.image.name))) {
        assert.ok(error, node.name);
        assert.equal((await node.containerd.contentDigests()).has(digest), false, node.name);
      }
      await front.behave({});
      await herd.forgotten(nodes);
      await herd.pullOnAll(fixture);
    },
  );

  scenario(
    'limits or is down: what a node holds is pulled by all, and what none holds fails with the reason',
    () => herd,
    async ({ front, nodes }) => {
      const [one, ...others] = nodes as [ClusterNode, ...ClusterNode[]];
      const [held, heldToo, fresh] = [
        await herd.image('held'),
        await herd.image('held-too'),
        await herd.image('fresh'),
      ];
      for (const it of [held, heldToo]) {
        await herd.pullOnAll(it, [one]);
        for (const { agent } of others) await waitUntilVisible(agent, it.image);
      }
      const headers = { 'Retry-After': '60' };
      await front.behave({ rules: [{ path: '/v2/.+', status: 429, headers }] });
      await herd.pullOnAll(held, others);
      for (const { error, node } of await Promise.all(herd.pull(fresh.image.name))) {
        assert.match(
          String(error),
          /429|TOOMANYREQUESTS|too many requests|503|not found/i,
          node.name,
        );
      }
      await front.switch(false);
      await herd.pullOnAll(heldToo, others);
      await front.switch(true);
    },
  );

  scenario(
    'is there, and the agent that fetches is killed in the middle of a layer: the others get the image',
    () => herd,
    async ({ front, nodes }) => {
      // They would leave the registry alone for as long as it has asked for.
      for (const { agent } of nodes) await agent.restart(flags());
      const fixture = await herd.image('killed');
      await front.behave({ rate: RATE });
      const pulls = herd.pull(fixture.image.name);
      const fetcher = await herd.fetcher(fixture);
      await herd.receiving(nodes, LAYER_BYTES / 4);
      await fetcher.agent.kill();
      const pulled = await Promise.all(pulls);
      assertAllPulled(pulled.filter(({ node }) => node !== fetcher));
      const others = nodes.filter((it) => it !== fetcher);
      for (const { containerd } of others) await assertHoldsImage(containerd, fixture.image);
      await fetcher.agent.restart(flags());
    },
  );
});
