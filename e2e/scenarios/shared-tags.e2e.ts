import { after, before, suite } from 'node:test';

import type { ClusterNode } from '../harness/cluster.ts';
import { SUITES } from '../harness/containerd-versions.ts';
import { makeImage, type ImageFixture } from '../harness/fixtures.ts';
import { writeHostsToml } from '../harness/hosts-toml.ts';
import { scenario } from '../harness/scenario.ts';
import { waitFor } from '../harness/wait.ts';
import { assertAllPulled, Herd, inOneRound } from './support/herd.ts';

const TAG = '/manifests/1.0';
/** The registry takes so long for a HEAD, in milliseconds, that all nodes ask meanwhile, and none of them gives up. */
const HEAD_MS = 600;
const OTHERS = ['d', 'e', 'f', 'g', 'h'].map((name) => ({ suite: 'trixie', name }) as const);
const NODES = OTHERS.length + SUITES.length;

/** Nodes that ask at the same moment what a tag means, with `--upstream`. No containerd knows the registry itself. */
suite('tags that nodes ask for together', () => {
  let herd: Herd;

  before(async () => {
    herd = await Herd.start([...SUITES.map((suite) => ({ suite })), ...OTHERS]);
    await restart();
    for (const { containerd } of herd.nodes) {
      await writeHostsToml(containerd.certsDir, herd.front.registry, 'http://127.0.0.1:5000');
    }
  });
  after(async () => {
    await herd[Symbol.asyncDispose]();
  });

  async function restart(...more: readonly string[]): Promise<void> {
    const flags = ['--upstream', herd.front.origin, ...more];
    await Promise.all(herd.nodes.map(({ agent }) => agent.restart({ flags })));
    for (const { agent } of herd.nodes) {
      await waitFor('it knows what the others speak', async () => {
        const status = await (await agent.fetchMetrics('/debug/status')).json();
        const { fanOut } = status as { fanOut: { speakers: number } };
        return fanOut.speakers === herd.nodes.length - 1;
      });
    }
  }

  async function pushed(name: string): Promise<ImageFixture> {
    const fixture = await makeImage({
      name: `${herd.front.registry}/shared/${name}:1.0`,
      layers: [{}],
    });
    await herd.front.push(fixture.layout, fixture.image);
    await herd.front.behave({ rules: [{ path: TAG, method: 'HEAD', delayMs: HEAD_MS }] });
    return fixture;
  }

  /** HEADs of the tag that the registry has answered, since there were `before` requests. */
  async function headsSince(before: number): Promise<number> {
    const requests = (await herd.front.requests()).slice(before);
    return requests.filter(({ method, path }) => method === 'HEAD' && path.includes(TAG)).length;
  }

  for (const [mode, least, most] of [
    // One where questions are answered in 150 ms, and HEADs in 0.9 s. A busy machine does not always reach that.
    ['auto', 1, NODES / 2],
    ['never', NODES, NODES],
  ] as const) {
    scenario(
      `${NODES} nodes that ask at once share HEADs with --share-tag-checks auto, and make one each with never: ${mode}`,
      () => herd,
      async ({ front, nodes }, t) => {
        await restart('--share-tag-checks', mode);
        await inOneRound(t, async (round) => {
          const fixture = await pushed(`${mode}${round}`);
          const before = (await front.requests()).length;
          await herd.pullOnAll(fixture);
          const heads = await headsSince(before);
          t.diagnostic(`${nodes.length} nodes: ${heads} HEADs of the tag`);
          return heads >= least && heads <= most ? [] : [`${heads} HEADs of the tag`];
        });
        await front.behave({});
      },
    );
  }

  scenario(
    'when the node that asks is killed, another one asks, and the others are told',
    () => herd,
    async ({ front, nodes }, t) => {
      await restart();
      await inOneRound(t, async (round) => {
        const { image } = await pushed(`killed${round}`);
        const rules = [{ path: TAG, method: 'HEAD', times: 1, delayMs: 60_000 + round }];
        await front.behave({ rules });
        const before = (await front.requests()).length;
        const [asker, ...others] = nodes as [ClusterNode, ...ClusterNode[]];
        const asked = await asksOf(asker);
        const lost = herd.pull(image.name, [asker]);
        await waitFor('the first node asks', async () => (await asksOf(asker)) > asked);
        const pulls = herd.pull(image.name, others);
        await asker.agent.kill();
        assertAllPulled(await Promise.all(pulls));
        await Promise.all(lost);
        const heads = await headsSince(before);
        t.diagnostic(`${heads} HEADs were answered`);
        await asker.agent.restart({ flags: ['--upstream', front.origin] });
        return heads < others.length ? [] : [`${heads} HEADs of the tag`];
      });
      await front.behave({});
    },
  );
});

/** Requests for manifests that the node has made at the registry. */
async function asksOf({ agent }: ClusterNode): Promise<number> {
  return await agent.metric('peerglass_upstream_requests_total', { kind: 'manifest' });
}
