import assert from 'node:assert/strict';
import { after, before, suite } from 'node:test';

import type { ClusterNode } from '../harness/cluster.ts';
import { assertHoldsImage } from '../harness/image-check.ts';
import { scenario } from '../harness/scenario.ts';
import { assertAllPulled, Herd, LAYER_BYTES, layerOf, RATE, type Pulled } from './support/herd.ts';

/** A fetcher, an inner node and leaves, in every order. */
const NODES = ['a', 'b', 'c', 'd'].map((name) => ({ suite: 'forky', name }) as const);

suite('while all nodes receive a fresh image', () => {
  let herd: Herd;

  before(async () => {
    herd = await Herd.start(NODES);
  });
  after(async () => {
    await herd[Symbol.asyncDispose]();
  });

  /** Pulls on all nodes, does something to one when half has arrived, and asserts that all others get the image. */
  async function disturb(
    name: string,
    choose: (fetcher: ClusterNode) => ClusterNode,
    disturbance: (node: ClusterNode) => Promise<unknown>,
    mayFail = false,
  ): Promise<Pulled> {
    const fixture = await herd.image(name);
    await herd.front.behave({ rate: RATE });
    const pulls = herd.pull(fixture.image.name);
    const fetcher = await herd.fetcher(fixture);
    await herd.receiving(herd.nodes, LAYER_BYTES / 3);
    const chosen = choose(fetcher);
    await disturbance(chosen);
    const pulled = await Promise.all(pulls);
    assertAllPulled(pulled.filter(({ node }) => !mayFail || node !== chosen));
    for (const { node, error } of pulled) {
      if (error === undefined) await assertHoldsImage(node.containerd, fixture.image);
    }
    const requests = await herd.requestsFor(layerOf(fixture.image));
    assert.ok(requests.length <= 3, JSON.stringify(requests));
    const result = pulled.find(({ node }) => node === chosen);
    assert.ok(result !== undefined);
    return result;
  }

  /** A node that does not fetch: it follows, and may be followed. */
  const follower = (fetcher: ClusterNode): ClusterNode => {
    const other = herd.nodes.find((node) => node !== fetcher);
    assert.ok(other !== undefined);
    return other;
  };
  const itself = (fetcher: ClusterNode): ClusterNode => fetcher;

  for (const [who, choose] of [
    ['fetches', itself],
    ['follows', follower],
  ] as const) {
    scenario(
      `the agent of the node that ${who} is killed: the image arrives`,
      () => herd,
      async () => {
        await disturb(`agent-${who}`, choose, async ({ agent }) => {
          await agent.kill();
          await agent.restart();
        });
      },
    );

    scenario(
      `the containerd of the node that ${who} is restarted: the others get the image`,
      () => herd,
      async () => {
        const restart = ({ containerd }: ClusterNode): Promise<unknown> => containerd.restart();
        const { node } = await disturb(`containerd-${who}`, choose, restart, true);
        assert.ok(node.agent.isRunning);
      },
    );

    scenario(
      `the network of the node that ${who} is unplugged: the others get the image`,
      () => herd,
      async () => {
        let unplugged: ClusterNode | undefined;
        const unplug = async (node: ClusterNode): Promise<void> => {
          unplugged = node;
          await node.host.plug(false);
          setTimeout(() => void node.host.plug(true), 15_000);
        };
        try {
          await disturb(`unplug-${who}`, choose, unplug, true);
        } finally {
          await unplugged?.host.plug(true);
        }
      },
      { timeoutMs: 180_000 },
    );

    scenario(
      `the agent of the node that ${who} is stopped (SIGSTOP): the others get the image`,
      () => herd,
      async () => {
        let stopped: ClusterNode | undefined;
        const stop = (node: ClusterNode): Promise<void> => {
          stopped = node;
          node.agent.signal('SIGSTOP');
          setTimeout(() => {
            node.agent.signal('SIGCONT');
          }, 15_000);
          return Promise.resolve();
        };
        try {
          await disturb(`stop-${who}`, choose, stop, true);
        } finally {
          stopped?.agent.signal('SIGCONT');
        }
      },
      { timeoutMs: 180_000 },
    );
  }

  scenario(
    'want more layers than their containerd receives at a time: they share the downloads',
    () => herd,
    async ({ front }, t) => {
      const layers = Array.from({ length: 12 }, (_, at) => 2_000_000 + at);
      const fixture = await herd.image('layers', layers);
      await front.behave({ rate: RATE });
      await herd.pullOnAll(fixture);
      const { blobs } = fixture.image;
      const requests = await Promise.all(blobs.map(({ digest }) => herd.requestsFor(digest)));
      const downloads = requests.map((all) => new Set(all.map(({ from }) => from)).size);
      const total = downloads.reduce((sum, each) => sum + each, 0);
      t.diagnostic(`${total} downloads of ${blobs.length} blobs by ${herd.nodes.length} nodes`);
      assert.ok(total < blobs.length * (herd.nodes.length - 1), downloads.join());
    },
  );
});
