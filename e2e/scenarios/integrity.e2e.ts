import assert from 'node:assert/strict';
import { open, stat, truncate, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, suite } from 'node:test';

import { Cluster, type ClusterNode } from '../harness/cluster.ts';
import { SUITES } from '../harness/containerd-versions.ts';
import { makeImage } from '../harness/fixtures.ts';
import { writeHostsToml } from '../harness/hosts-toml.ts';
import { assertHoldsImage } from '../harness/image-check.ts';
import { assertHead, blobPathOf, headStatus, waitUntilVisible } from '../harness/mirror.ts';
import { scenario } from '../harness/scenario.ts';
import type { Upstream } from '../harness/upstream.ts';
import { waitFor } from '../harness/wait.ts';
import type { BuiltImage } from '../images/image.ts';

/** The first one is hashed in a thread, passed on unseen by the receiver and fetched in many reads. */
const LAYERS = [{ bytes: 24_000_000, compression: 'none' }, { bytes: 200_000 }] as const;
const MIRRORED = { headers: { 'x-spegel-mirrored': 'true' } };

suite('altered files of a holder', () => {
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

  for (const [index, bad] of SUITES.entries()) {
    for (const puller of ['ctr', 'cri'] as const) {
      scenario(
        `a node pulls with ${puller} from another holder when the files on ${bad} are altered`,
        () => cluster,
        async ({ nodes }) => {
          const name = `${upstream.registry}/altered/${puller}-${bad}:1.0`;
          const { image, archive } = await makeImage({ name, layers: LAYERS });
          const holder = cluster.node(bad);
          const [first, second] = nodes.filter((node) => node !== holder);
          const [good, receiver] = index % 2 === 0 ? [first, second] : [second, first];
          assert.ok(good !== undefined && receiver !== undefined);
          const before = await holder.agent.metric('peerglass_blobs_verified_total');
          for (const node of [holder, good]) await node.containerd.importArchive(archive);
          await waitUntilVisible(receiver.agent, image);
          const read = await holder.agent.metric('peerglass_blobs_verified_total');
          for (const digest of layersOf(image)) await damage(holder, digest);
          const earlier = (await upstream.requests()).length;

          await receiver.containerd.pull(puller, image.name);
          await assertHoldsImage(receiver.containerd, image);
          assert.equal((await upstream.requests()).length, earlier, 'upstream was left alone');
          assert.equal(
            read,
            before,
            'what containerd has committed is not read before it was altered',
          );

          // The holder itself answers 404. Then the DHT has no record of it any more.
          for (const digest of layersOf(image)) {
            await waitFor(
              `${bad} says 404`,
              async () => (await peerStatus(holder, image, digest)) === 404,
            );
          }
          assert.equal(await holder.agent.metric('peerglass_blobs_corrupt'), LAYERS.length);
          const log = await holder.agent.logTail(300);
          assert.ok(/altered.*wrong bytes on disk/.test(log), 'the log names the image');
        },
      );
    }

    scenario(
      `no node finds the truncated file of ${bad}, the only holder, until an operator repairs it as its log says`,
      () => cluster,
      async ({ nodes }) => {
        const name = `${upstream.registry}/cut/${bad}:1.0`;
        const { image, layout } = await makeImage({ name, layers: LAYERS });
        await upstream.push(layout, image);
        const holder = cluster.node(bad);
        const others = nodes.filter((node) => node !== holder);
        await holder.containerd.pullWithCri(image.name);
        for (const { agent } of others) await waitUntilVisible(agent, image);
        const [layer = ''] = layersOf(image);
        await truncate(fileOf(holder, layer), 1_000_000);

        // The first request finds the fault, and the holder withdraws its record.
        for (const { agent } of others) {
          await waitFor('no node finds it', async () => {
            return (await headStatus(agent, blobPathOf(image, layer))) === 404;
          });
        }
        await waitFor('it is counted', async () => {
          return (await holder.agent.metric('peerglass_blobs_corrupt')) === 1;
        });
        const [first, second] = others;
        assert.ok(first !== undefined && second !== undefined);
        await first.containerd.pullWithCri(image.name);
        await assertHoldsImage(first.containerd, image);

        // The remedy that the log names.
        await holder.containerd.removeImage(image.name);
        await waitFor('it is gone', async () => {
          return (await holder.agent.metric('peerglass_blobs_corrupt')) === 0;
        });
        await holder.containerd.pullWithCri(image.name);
        await assertHoldsImage(holder.containerd, image);
        await waitFor('it is served again', async () => {
          return (await peerStatus(holder, image, layer)) === 200;
        });
        await second.containerd.pullWithCtr(image.name);
        await assertHoldsImage(second.containerd, image);
      },
    );

    scenario(
      `the verification results of the agent on ${bad} survive its restart`,
      () => cluster,
      async () => {
        const { image, archive } = await makeImage({
          name: `${upstream.registry}/kept/${bad}:1.0`,
          layers: LAYERS,
        });
        const { agent, containerd } = cluster.node(bad);
        await containerd.importArchive(archive);
        await waitUntilVisible(agent, image);
        await agent.restart();
        await waitUntilVisible(agent, image);
        const verified = (): Promise<number> => agent.metric('peerglass_blobs_verified_total');
        assert.equal(await verified(), 0, 'containerd vouches for what was there at the start');

        const [touched = '', altered = ''] = layersOf(image);
        const now = new Date();
        await utimes(fileOf(cluster.node(bad), touched), now, now);
        await damage(cluster.node(bad), altered);
        await waitFor('one is right and one is wrong', async () => {
          const statuses = [await headStatus(agent, blobPathOf(image, touched))];
          statuses.push(await headStatus(agent, blobPathOf(image, altered)));
          return (
            statuses.join() === '200,404' && (await agent.metric('peerglass_blobs_corrupt')) === 1
          );
        });
        assert.equal(await agent.metric('peerglass_blobs_verified_total', { result: 'right' }), 1);
        await agent.restart();
        await assertHead(agent, blobPathOf(image, touched), 200);
        await assertHead(agent, blobPathOf(image, altered), 404);
        assert.equal(await agent.metric('peerglass_blobs_corrupt'), 1);
        assert.equal(await verified(), 0, 'nothing is read again');
      },
    );
  }
});

function layersOf(image: BuiltImage): string[] {
  return (image.manifests[0]?.layers ?? []).map(({ descriptor }) => descriptor.digest);
}

function fileOf({ containerd }: ClusterNode, digest: string): string {
  return join(containerd.contentPath, 'blobs', ...digest.split(':'));
}

/** What the node's agent answers to another one. */
async function peerStatus(node: ClusterNode, image: BuiltImage, digest: string): Promise<number> {
  const response = await node.agent.fetch(blobPathOf(image, digest), {
    method: 'HEAD',
    ...MIRRORED,
  });
  await response.body?.cancel();
  return response.status;
}

/** Flips a byte of the blob's file and sets its modification time back. */
async function damage(node: ClusterNode, digest: string): Promise<void> {
  const path = fileOf(node, digest);
  const { atime, mtime, size } = await stat(path);
  const file = await open(path, 'r+');
  const byte = Buffer.alloc(1);
  await file.read(byte, 0, 1, size >> 1);
  await file.write(Buffer.from([(byte[0] ?? 0) ^ 0xff]), 0, 1, size >> 1);
  await file.close();
  await utimes(path, atime, mtime);
}
