import assert from 'node:assert/strict';
import { after, before, suite } from 'node:test';

import type { BuiltImage } from '../images/image.ts';
import type { LayerSpec } from '../images/layer.ts';
import { Cluster, type ClusterNode } from '../harness/cluster.ts';
import { makeImage, type ImageFixture } from '../harness/fixtures.ts';
import { assertHoldsImage } from '../harness/image-check.ts';
import { waitUntilVisible } from '../harness/mirror.ts';
import { RogueNode } from '../harness/rogue-node.ts';
import { scenario } from '../harness/scenario.ts';
import type { Upstream } from '../harness/upstream.ts';
import { waitFor } from '../harness/wait.ts';

/** Enough blobs for the rogue to get requests for some. */
const SMALL_LAYERS = 20;
const LARGE_BYTES = 24_000_000;
const CHUNK_BYTES = 1 << 20;

/** A node of each version, and one that fetches chunks in parallel. */
const RECEIVERS = [
  { suite: 'bookworm', name: 'bookworm' },
  { suite: 'trixie', name: 'trixie' },
  { suite: 'forky', name: 'forky' },
  { suite: 'forky', name: 'chunks', fetchBufferBytes: CHUNK_BYTES, fetchStreams: 4 },
] as const;

suite('a peer that sends wrong bytes', () => {
  let cluster: Cluster;
  let rogue: RogueNode;
  let upstream: Upstream;

  before(async () => {
    cluster = await Cluster.start(RECEIVERS);
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

  for (const { name } of RECEIVERS) {
    scenario(
      `${name} gets small blobs at the first try`,
      () => cluster,
      async () => {
        const layers = Array.from({ length: SMALL_LAYERS }, (_, index) => {
          // Some of several chunks.
          return index % 5 === 0 ? large(3_000_000) : {};
        });
        // One request to the liar may be all, and be cancelled, since the holder answers sooner and is preferred then.
        for (let round = 1; ; round += 1) {
          const { fixture, receiver, bringHolder } = await start(name, `small${round}`, layers);
          await bringHolder();
          await rogue.order({ behaviour: { kind: 'wrong-bytes', offset: 10, count: 10 } });
          await rogue.hold(fixture);

          await receiver.containerd.pullWithCri(fixture.image.name);
          await assertHoldsImage(receiver.containerd, fixture.image);
          assert.deepEqual(await upstream.requests(), [], 'the upstream was not asked');
          try {
            assert.ok((await lies()) > 0, 'the liar was asked');
            await assertBanned(receiver, 'held-back', round < 3 ? 5_000 : undefined);
            return;
          } catch (error) {
            if (round === 3) throw error;
          }
        }
      },
    );

    for (const puller of ['cri', 'ctr'] as const) {
      scenario(
        `${name} gets a large blob with ${puller} at the second try`,
        () => cluster,
        async (_, t) => {
          const layers = [large(LARGE_BYTES)];
          const { fixture, receiver, bringHolder } = await start(name, `large-${puller}`, layers);
          const digest = layerOf(fixture.image);
          const behaviour = { kind: 'wrong-bytes', offset: LARGE_BYTES / 2, count: 10 } as const;
          await rogue.order({ behaviour, digests: [digest] });
          await rogue.hold(fixture);
          await waitUntilVisible(receiver.agent, fixture.image);

          // The rogue is the only holder at first, so it gets the requests.
          await assert.rejects(receiver.containerd.pull(puller, fixture.image.name));
          await bringHolder();
          // The kubelet waits ten seconds after a failure. The test waits until the rogue is blocked.
          await assertBanned(receiver, 'passed-on');
          await receiver.containerd.pull(puller, fixture.image.name);
          t.diagnostic(`${await lies()} requests to the liar`);
          await assertHoldsImage(receiver.containerd, fixture.image);
          assert.deepEqual(await upstream.requests(), [], 'the upstream was not asked');
        },
      );
    }
  }

  /** The image on the upstream, and on another node when that is wanted; the receiver's bans are gone. */
  async function start(
    receiverName: string,
    what: string,
    layers: readonly LayerSpec[],
  ): Promise<{ fixture: ImageFixture; receiver: ClusterNode; bringHolder: () => Promise<void> }> {
    const receiver = cluster.node(receiverName);
    const holder = cluster.nodes.find((node) => node !== receiver);
    assert.ok(holder !== undefined);
    await rogue.clear();
    await receiver.agent.restart();
    const name = `${upstream.registry}/lies/${what}-${receiverName}:1.0`;
    const fixture = await makeImage({ name, layers });
    await upstream.push(fixture.layout, fixture.image);
    const bringHolder = async (): Promise<void> => {
      await holder.containerd.importArchive(fixture.archive);
      await waitUntilVisible(receiver.agent, fixture.image);
    };
    return { fixture, receiver, bringHolder };
  }

  async function lies(): Promise<number> {
    return (await rogue.requests()).filter((it) => it.behaviour === 'wrong-bytes').length;
  }

  async function assertBanned(
    { agent }: ClusterNode,
    noticed: string,
    timeoutMs?: number,
  ): Promise<void> {
    const offences = 'peerglass_peer_offences_total';
    const isFound = async (): Promise<boolean> => {
      return (await rogue.metricAbout(agent, offences, { noticed })) >= 1;
    };
    await waitFor('the liar has been found', isFound, timeoutMs === undefined ? {} : { timeoutMs });
    // Chunks came from several peers, and the attribution has to clear the others.
    await waitFor('no other peer is blocked', async () => {
      return (await agent.metric('peerglass_banned_peers')) === 1;
    });
  }
});

function large(bytes: number): LayerSpec {
  return { bytes, files: 1, compression: 'none' };
}

function layerOf({ manifests }: BuiltImage): string {
  const digest = manifests[0]?.layers[0]?.descriptor.digest;
  assert.ok(digest !== undefined);
  return digest;
}
