import assert from 'node:assert/strict';
import { after, before, suite } from 'node:test';

import { Cluster, type ClusterNode } from '../harness/cluster.ts';
import { makeImage, REGISTRY } from '../harness/fixtures.ts';
import { assertHoldsImage } from '../harness/image-check.ts';
import { waitUntilVisible } from '../harness/mirror.ts';
import type { ProcStats } from '../harness/proc-stats.ts';
import { scenario } from '../harness/scenario.ts';
import { waitFor } from '../harness/wait.ts';

const MIB = 1 << 20;
const LAYER_BYTES = 256 * MIB;
const CHUNK_BYTES = MIB;
/** Descriptors that may come and go with keep-alive connections. */
const SLACK = 12;
/** Heap that has not been collected yet; a leaked chunk per request would be 256 MiB a pull. */
const MEMORY_SLACK = 96 * MIB;

/**
 * containerd from 2.1 can fetch a layer by many open-ended requests, each of which it closes after its chunk:
 * every body that the mirror sends is broken off by the client, hundreds of times a pull.
 */
suite('containerd fetches chunks in parallel', () => {
  let cluster: Cluster;

  before(async () => {
    cluster = await Cluster.start([
      { suite: 'bookworm', name: 'holder' },
      { suite: 'forky', name: 'chunks', fetchBufferBytes: CHUNK_BYTES, fetchStreams: 8 },
    ]);
  });
  after(async () => {
    await cluster[Symbol.asyncDispose]();
  });

  scenario(
    'hundreds of ranges that are closed early leak no sockets, files or memory',
    () => cluster,
    async ({ nodes }, t) => {
      const layers = [{ bytes: LAYER_BYTES, files: 1, compression: 'none' }] as const;
      const { image, archive } = await makeImage({ name: `${REGISTRY}/chunks/app:1.0`, layers });
      const { containerd, agent } = cluster.node('chunks');
      const holder = cluster.node('holder');
      await holder.containerd.importArchive(archive);
      await waitUntilVisible(agent, image);

      const pull = async (puller: 'ctr' | 'cri'): Promise<void> => {
        const before = await rangesAnswered(agent);
        const sentBefore = await holder.host.bytesSent();
        await containerd.pull(puller, image.name);
        await assertHoldsImage(containerd, image);
        await containerd.removeImage();
        const ranges = (await rangesAnswered(agent)) - before;
        const sent = (await holder.host.bytesSent()) - sentBefore;
        t.diagnostic(
          `${puller}: ${ranges} requests for a layer of ${LAYER_BYTES / MIB} MiB, ` +
            `${Math.round(sent / MIB)} MiB sent by the holder`,
        );
        assert.ok(ranges >= LAYER_BYTES / CHUNK_BYTES / 2, `it came in chunks: ${ranges} requests`);
      };
      // The first one warms up what is allocated once.
      await pull('cri');
      const before = await Promise.all(nodes.map((node) => settled(node)));
      for (const puller of ['ctr', 'cri', 'ctr'] as const) await pull(puller);
      for (const [index, node] of nodes.entries()) {
        const [old] = before.slice(index);
        assert.ok(old !== undefined);
        const now = await waitFor(`the descriptors of ${node.name} are back`, async () => {
          const stats = await settled(node);
          return stats.descriptors <= old.descriptors + SLACK && stats;
        });
        t.diagnostic(`${node.name}: ${describe(old)} -> ${describe(now)}`);
        assert.ok(now.sockets <= old.sockets + SLACK, `sockets of ${node.name}`);
        assert.equal(now.blobFiles, 0, `files of blobs open at ${node.name}`);
        const grown = now.anonymousBytes - old.anonymousBytes;
        assert.ok(grown < MEMORY_SLACK, `${node.name} grew by ${grown} bytes`);
        assert.equal(await node.agent.metric('http_requests_inflight'), 0, 'requests in flight');
      }
    },
    { timeoutMs: 300_000 },
  );
});

/** Requests to the mirror that were answered, by whatever handler. */
async function rangesAnswered(agent: ClusterNode['agent']): Promise<number> {
  return agent.metric('http_request_duration_seconds_count', { method: 'GET' });
}

/** What the agent holds once nothing is being sent any more. */
async function settled({ name, agent }: ClusterNode): Promise<ProcStats> {
  await waitFor(`the agent of ${name} is idle`, async () => {
    return (await agent.metric('http_requests_inflight')) === 0;
  });
  return agent.stats();
}

function describe({ rssBytes, anonymousBytes, descriptors, sockets }: ProcStats): string {
  const [rss, anonymous] = [rssBytes, anonymousBytes].map((it) => Math.round(it / MIB));
  return `RSS ${rss} MiB (${anonymous} anonymous), ${descriptors} descriptors, ${sockets} sockets`;
}
