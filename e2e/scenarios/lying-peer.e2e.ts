import assert from 'node:assert/strict';
import { after, before, suite } from 'node:test';

import { Cluster } from '../harness/cluster.ts';
import { SUITES } from '../harness/containerd-versions.ts';
import { makeImage, REGISTRY } from '../harness/fixtures.ts';
import { assertHoldsImage } from '../harness/image-check.ts';
import { waitUntilVisible } from '../harness/mirror.ts';
import { RogueNode } from '../harness/rogue-node.ts';
import { scenario } from '../harness/scenario.ts';

/** Enough for the liar, who announces them last, to be asked for some. */
const SMALL_LAYERS = 20;

suite('a peer that lies', () => {
  let cluster: Cluster;
  let rogue: RogueNode;

  before(async () => {
    cluster = await Cluster.start(SUITES.map((name) => ({ suite: name })));
    rogue = await RogueNode.start({
      host: await cluster.network.addHost('rogue'),
      peers: cluster.nodes.map(({ host }) => host.address),
    });
  });
  after(async () => {
    await rogue[Symbol.asyncDispose]();
    await cluster[Symbol.asyncDispose]();
  });

  for (const suiteName of SUITES) {
    scenario(
      `small blobs with wrong bytes come rightly from another holder at the first try, ${suiteName}`,
      () => cluster,
      async () => {
        await rogue.clear();
        const { containerd, agent } = cluster.node(suiteName);
        const holder = cluster.nodes.find((node) => node.name !== suiteName);
        assert.ok(holder !== undefined);
        const name = `${REGISTRY}/lies/small-${suiteName}:1.0`;
        const fixture = await makeImage({ name, layers: Array<object>(SMALL_LAYERS).fill({}) });
        const { image, archive } = fixture;
        await holder.containerd.importArchive(archive);
        await rogue.hold(fixture);
        await waitUntilVisible(agent, image);
        await rogue.order({ behaviour: { kind: 'wrong-bytes', offset: 10, count: 10 } });

        await containerd.pullWithCri(image.name);
        await assertHoldsImage(containerd, image);
        const lies = (await rogue.requests()).filter((it) => it.behaviour === 'wrong-bytes');
        assert.ok(lies.length > 0, 'the liar was asked');
      },
    );
  }
});
