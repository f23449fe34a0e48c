import assert from 'node:assert/strict';
import { after, before, suite } from 'node:test';

import { Cluster } from '../harness/cluster.ts';
import { SUITES } from '../harness/containerd-versions.ts';
import { makeImage } from '../harness/fixtures.ts';
import { writeHostsToml } from '../harness/hosts-toml.ts';
import { assertHoldsImage } from '../harness/image-check.ts';
import { allPaths, assertHead, waitUntilVisible } from '../harness/mirror.ts';
import { scenario } from '../harness/scenario.ts';
import type { Upstream } from '../harness/upstream.ts';

suite('content that no peer holds comes from upstream once', () => {
  let cluster: Cluster;
  let upstream: Upstream;

  before(async () => {
    cluster = await Cluster.start(SUITES.map((name) => ({ suite: name })));
    upstream = await cluster.addUpstream();
    for (const { containerd } of cluster.nodes) {
      await writeHostsToml(containerd.certsDir, upstream.registry, upstream.origin);
    }
  });
  after(async () => {
    await cluster[Symbol.asyncDispose]();
  });

  for (const first of SUITES) {
    for (const puller of ['ctr', 'cri'] as const) {
      scenario(
        `the containerd of ${first} pulls with ${puller} from upstream, and the others from it`,
        () => cluster,
        async ({ nodes }, t) => {
          const name = `${upstream.registry}/fresh/${first}-${puller}:1.0`;
          const { image, layout } = await makeImage({ name, layers: [{}, { bytes: 2_000_000 }] });
          await upstream.push(layout, image);
          const { agent, containerd, host } = cluster.node(first);

          const leftBefore = await agent.metric('peerglass_fall_throughs_total');
          for (const path of allPaths(image)) {
            const start = performance.now();
            await assertHead(agent, path, 404);
            t.diagnostic(`404 in ${(performance.now() - start).toFixed(1)} ms`);
          }
          const left = (await agent.metric('peerglass_fall_throughs_total')) - leftBefore;
          assert.equal(left, allPaths(image).length, 'the mirror leaves each request to upstream');
          const earlier = (await upstream.requests()).length;
          await containerd.pull(puller, image.name);
          await assertHoldsImage(containerd, image);
          const requests = (await upstream.requests()).slice(earlier);
          assert.ok(requests.length >= image.blobs.length, 'the first one goes upstream');
          assert.ok(requests.every(({ from }) => from === host.address));

          for (const other of nodes.filter((node) => node.name !== first)) {
            await waitUntilVisible(other.agent, image);
            await other.containerd.pull(puller === 'ctr' ? 'cri' : 'ctr', image.name);
            await assertHoldsImage(other.containerd, image);
          }
          const total = (await upstream.requests()).length;
          assert.equal(total, earlier + requests.length, 'no other node goes upstream');
        },
      );
    }
  }
});
