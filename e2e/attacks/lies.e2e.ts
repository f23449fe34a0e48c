import assert from 'node:assert/strict';
import { after, before, suite } from 'node:test';

import { Cluster, type ClusterNode } from '../harness/cluster.ts';
import { makeImage, type ImageFixture } from '../harness/fixtures.ts';
import { assertHoldsImage } from '../harness/image-check.ts';
import { waitUntilVisible } from '../harness/mirror.ts';
import type { RogueBehaviour } from '../harness/rogue-behaviour.ts';
import { RogueNode } from '../harness/rogue-node.ts';
import { scenario } from '../harness/scenario.ts';
import type { Upstream } from '../harness/upstream.ts';
import { waitFor } from '../harness/wait.ts';

const LAYER_BYTES = 6_000_000;
const IMAGES = 6;
/** The rogue is one of two holders, and not the first to be asked for every image. */
const MAX_IMAGES = 20;
const RECEIVER = 'receiver';

suite('members that lie', () => {
  let cluster: Cluster;
  let rogue: RogueNode;
  let upstream: Upstream;

  before(async () => {
    cluster = await Cluster.start([
      { suite: 'trixie', name: RECEIVER },
      { suite: 'bookworm', name: 'holder' },
    ]);
    upstream = await cluster.addUpstream();
    rogue = await RogueNode.start({
      host: await cluster.network.addHost('rogue'),
      peers: cluster.nodes.map(({ host }) => host.address),
    });
  });
  after(async () => {
    await rogue[Symbol.asyncDispose]();
    await cluster[Symbol.asyncDispose]();
  });

  scenario(
    "about a manifest's length in answer to HEAD lose no pull",
    () => cluster,
    async () => {
      const { receiver } = await start();
      for (let count = 0; count < IMAGES; count++) {
        const fixture = await bring(`head-${count}`, {});
        await rogue.order({ behaviour: { kind: 'wrong-head', by: 273 }, head: true });
        await receiver.containerd.pullWithCri(fixture.image.name);
        await assertHoldsImage(receiver.containerd, fixture.image);
      }
      const asked = (await rogue.requests()).filter(
        ({ from, path }) => from === receiver.host.address && path.includes('/manifests/'),
      );
      assert.ok(asked.length > 0, 'the receiver never asked the liar for a manifest');
      assert.deepEqual(await upstream.requests(), [], 'the upstream was not asked');
    },
  );

  for (const [what, then] of [
    ['behaves when it is asked again', { kind: 'honest' }],
    ['drips when it is asked again', { kind: 'slow', bytesPerSecond: 7_000 }],
  ] as const satisfies [string, RogueBehaviour][]) {
    scenario(
      `about the first half of a layer: one that ${what} is found, and the honest holder serves`,
      () => cluster,
      async () => {
        const { receiver } = await start();
        const behaviour = { kind: 'wrong-once', after: LAYER_BYTES / 2, then } as const;
        let lost = 0;
        for (let count = 0; count < MAX_IMAGES && lost === 0; count++) {
          const fixture = await bring(`${then.kind}-${count}`, { bytes: LAYER_BYTES });
          const digests = fixture.image.manifests.flatMap(({ layers }) =>
            layers.map(({ descriptor }) => descriptor.digest),
          );
          await rogue.order({ behaviour, digests });
          const offences = await offencesOf(receiver);
          const failed = await receiver.containerd.pullWithCri(fixture.image.name).then(
            () => false,
            () => true,
          );
          if (failed) {
            lost += 1;
            await waitFor('the rogue is found, and the honest holder cleared', async () => {
              const banned = await receiver.agent.metric('peerglass_banned_peers');
              return banned === 1 && (await offencesOf(receiver)) > offences;
            });
            await receiver.containerd.pullWithCri(fixture.image.name);
          }
          await assertHoldsImage(receiver.containerd, fixture.image);
        }
        assert.equal(lost, 1, 'the rogue was asked first once');
        assert.deepEqual(await upstream.requests(), [], 'the upstream was not asked');
      },
    );
  }

  /** A receiver that knows nothing of the rogue yet. */
  async function start(): Promise<{ receiver: ClusterNode }> {
    const receiver = cluster.node(RECEIVER);
    await rogue.clear();
    await receiver.agent.restart();
    return { receiver };
  }

  /** An image of one layer, on the upstream, at the honest holder and at the rogue. */
  async function bring(what: string, layer: { readonly bytes?: number }): Promise<ImageFixture> {
    const name = `${upstream.registry}/attacks/${what}:1.0`;
    const layers = [{ files: 1, compression: 'none', ...layer } as const];
    const fixture = await makeImage({ name, layers });
    await upstream.push(fixture.layout, fixture.image);
    await cluster.node('holder').containerd.importArchive(fixture.archive);
    await rogue.hold(fixture);
    await waitUntilVisible(cluster.node(RECEIVER).agent, fixture.image);
    return fixture;
  }

  function offencesOf({ agent }: ClusterNode): Promise<number> {
    return rogue.metricAbout(agent, 'peerglass_peer_offences_total');
  }
});
