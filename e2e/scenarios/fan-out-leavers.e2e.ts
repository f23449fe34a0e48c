import assert from 'node:assert/strict';
import { after, before, suite } from 'node:test';
import { fileURLToPath } from 'node:url';

import type { ClusterNode } from '../harness/cluster.ts';
import type { ImageFixture } from '../harness/fixtures.ts';
import { assertHoldsImage } from '../harness/image-check.ts';
import { scenario } from '../harness/scenario.ts';
import { putSmallDisk } from '../harness/small-disk.ts';
import { assertAllPulled, Herd, LAYER_BYTES, layerOf, RATE, type Pulled } from './support/herd.ts';

const SHIFTED_CLOCK = fileURLToPath(new URL('../harness/shifted-clock.ts', import.meta.url));
const HOUR_MS = 3_600_000;
const NODES = (['bookworm', 'trixie', 'forky', 'forky'] as const).map((release, at) => ({
  suite: release,
  name: `n${at}`,
  nodeFlags: ['--import', SHIFTED_CLOCK],
  env: { E2E_CLOCK_JUMP_MS: String(HOUR_MS) },
}));
/** Holds a third of the layer. */
const DISK_BYTES = LAYER_BYTES / 3;

type Role = 'arbiter' | 'fetcher' | 'parent' | 'leaf';

suite('while all nodes receive a fresh image, one of them', () => {
  let herd: Herd;

  before(async () => {
    herd = await Herd.start(NODES);
  });
  after(async () => {
    await herd[Symbol.asyncDispose]();
  });

  /** A pull of its own for each node, when a part has arrived everywhere. */
  async function begin(
    name: string,
  ): Promise<{ fixture: ImageFixture; pulls: Promise<Pulled>[]; cancel: AbortController[] }> {
    const fixture = await herd.image(name);
    await herd.front.behave({ rate: RATE });
    const cancel = herd.nodes.map(() => new AbortController());
    const pulls = herd.nodes.flatMap((node, at) =>
      herd.pull(fixture.image.name, [node], cancel[at]?.signal),
    );
    await herd.receiving(herd.nodes, LAYER_BYTES / 6);
    return { fixture, pulls, cancel };
  }

  async function nodeOf(role: Role, fixture: ImageFixture): Promise<ClusterNode> {
    if (role === 'arbiter') return await herd.arbiter(fixture);
    if (role === 'fetcher') return await herd.fetcher(fixture);
    return await herd.follower(fixture, role);
  }

  /** Asserts that all but this one have the image, and that few asked the registry. */
  async function assertDone(
    { image }: ImageFixture,
    pulled: readonly Pulled[],
    except?: ClusterNode,
  ): Promise<void> {
    const others = pulled.filter(({ node }) => node !== except);
    assertAllPulled(others);
    for (const { node } of others) await assertHoldsImage(node.containerd, image);
    // The node that leaves, and the one in its place.
    const requests = await herd.requestsFor(layerOf(image));
    assert.ok(requests.length <= 2, JSON.stringify(requests));
  }

  for (const role of ['arbiter', 'fetcher', 'parent'] as const) {
    scenario(
      `restarts its agent, and is the ${role}: all get it`,
      () => herd,
      async () => {
        const { fixture, pulls } = await begin(`restart-${role}`);
        const { agent } = await nodeOf(role, fixture);
        await agent.restart();
        await assertDone(fixture, await Promise.all(pulls));
      },
    );
  }

  for (const role of ['fetcher', 'parent', 'leaf'] as const) {
    scenario(
      `cancels its pull, and is the ${role}: the others get it, and it does when it wants it again`,
      () => herd,
      async () => {
        const { fixture, pulls, cancel } = await begin(`cancel-${role}`);
        const node = await nodeOf(role, fixture);
        cancel[herd.nodes.indexOf(node)]?.abort();
        const pulled = await Promise.all(pulls);
        assert.match(String(pulled.find((it) => it.node === node)?.error), /cancel/i);
        await assertDone(fixture, pulled, node);
        await herd.pullOnAll(fixture, [node]);
      },
    );
  }

  scenario(
    'has no space left, and is the fetcher: it says so, and the others get it',
    () => herd,
    async ({ nodes }) => {
      const [full, ...others] = nodes;
      assert.ok(full !== undefined);
      await using resources = new AsyncDisposableStack();
      resources.use(await putSmallDisk(full, DISK_BYTES));
      const fixture = await herd.image('no-space-fetcher');
      await herd.front.behave({ rate: RATE });
      const pulls = herd.pull(fixture.image.name, [full]);
      assert.equal(await herd.asked(fixture), full);
      pulls.push(...herd.pull(fixture.image.name, others));
      const pulled = await Promise.all(pulls);
      assert.match(String(pulled[0]?.error), /no space left/);
      await assertDone(fixture, pulled, full);
    },
  );

  scenario(
    'has no space left, and follows: it says so, and the others get it',
    () => herd,
    async ({ nodes }) => {
      const [first, full, ...others] = nodes;
      assert.ok(first !== undefined && full !== undefined);
      await using resources = new AsyncDisposableStack();
      resources.use(await putSmallDisk(full, DISK_BYTES));
      const fixture = await herd.image('no-space-follower');
      await herd.front.behave({ rate: RATE });
      const pulls = herd.pull(fixture.image.name, [first]);
      assert.equal(await herd.asked(fixture), first);
      pulls.push(...herd.pull(fixture.image.name, [full, ...others]));
      const pulled = await Promise.all(pulls);
      assert.match(String(pulled.find(({ node }) => node === full)?.error), /no space left/);
      await assertDone(fixture, pulled, full);
    },
  );

  for (const role of ['fetcher', 'arbiter'] as const) {
    scenario(
      `has its clock put forward by an hour, and is the ${role}: all get it`,
      () => herd,
      async () => {
        const { fixture, pulls } = await begin(`clock-${role}`);
        const { agent } = await nodeOf(role, fixture);
        agent.signal('SIGUSR2');
        await assertDone(fixture, await Promise.all(pulls));
        const { time } = JSON.parse(await agent.logTail(1)) as { time: string };
        assert.ok(Date.parse(time) > Date.now() + HOUR_MS / 2, `it is ${time} on that node`);
        // Its clock is right again.
        await agent.restart();
      },
    );
  }
});
