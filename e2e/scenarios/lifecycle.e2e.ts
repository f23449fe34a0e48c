import assert from 'node:assert/strict';
import { after, before, suite } from 'node:test';

import { Cluster } from '../harness/cluster.ts';
import { SUITES } from '../harness/containerd-versions.ts';
import { makeImage, REGISTRY } from '../harness/fixtures.ts';
import { manifestPath, waitUntilVisible } from '../harness/mirror.ts';
import { scenario } from '../harness/scenario.ts';
import { waitFor } from '../harness/wait.ts';

for (const release of SUITES) {
  suite(`an agent alone with the containerd of ${release}`, () => {
    let cluster: Cluster;

    before(async () => {
      cluster = await Cluster.start([{ suite: release }]);
    });
    after(async () => {
      await cluster[Symbol.asyncDispose]();
    });

    scenario(
      'is ready, serves the content of its node, and counts it',
      () => cluster,
      async () => {
        const { image, archive } = await makeImage({ name: `${REGISTRY}/alone/app:1.0` });
        const { agent, containerd } = cluster.node(release);
        await containerd.importArchive(archive);
        await waitUntilVisible(agent, image);
        const response = await agent.fetch(manifestPath(image));
        assert.equal(response.headers.get('docker-content-digest'), image.target.digest);
        assert.equal(response.headers.get('content-type'), image.target.mediaType);
        assert.equal((await response.arrayBuffer()).byteLength, image.target.size);
        await waitFor('what is advertised is counted', async () => {
          const tags = await agent.metric('spegel_advertised_image_tags', { registry: REGISTRY });
          const digests = await agent.metric('spegel_advertised_content_digests');
          return tags === 1 && digests >= image.blobs.length;
        });
      },
    );

    scenario(
      'waits for a containerd that is not up yet, and logs that',
      () => cluster,
      async () => {
        const { agent, containerd } = cluster.node(release);
        const { image, archive } = await makeImage({ name: `${REGISTRY}/alone/late:1.0` });
        await containerd.importArchive(archive);
        agent.signal('SIGTERM');
        await agent.exited;
        await containerd.kill();
        await agent.restart(undefined, { waitUntilReady: false });
        await waitFor('/livez answers', async () => (await agent.fetchMetrics('/livez')).ok);
        const response = await agent.fetchMetrics('/readyz');
        assert.equal(response.status, 503);
        const reason = JSON.stringify(await response.json());
        assert.match(reason, /containerd|store/i, 'it says why');

        await containerd.restart();
        await agent.ready();
        await waitUntilVisible(agent, image);
      },
    );

    scenario(
      'ends on SIGTERM with code 0, without waiting when no request is in flight',
      () => cluster,
      async () => {
        const { agent } = cluster.node(release);
        // Longer than a scenario may take: an agent that waited for requests would fail it.
        await agent.restart({ flags: ['--shutdown-timeout', '10m'] });
        agent.signal('SIGTERM');
        assert.deepEqual(await agent.exited, { code: 0, signal: null });
      },
    );
  });
}
