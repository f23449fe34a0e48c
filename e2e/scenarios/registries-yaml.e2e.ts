import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, suite } from 'node:test';
import { fileURLToPath } from 'node:url';

import { PROGRAM } from '../harness/agent-process.ts';
import type { Child } from '../harness/child.ts';
import { Cluster, type ClusterNode } from '../harness/cluster.ts';
import { SUITES } from '../harness/containerd-versions.ts';
import { makeImage, type ImageFixture } from '../harness/fixtures.ts';
import { assertHoldsImage } from '../harness/image-check.ts';
import { scenario } from '../harness/scenario.ts';
import type { Upstream } from '../harness/upstream.ts';
import { waitFor } from '../harness/wait.ts';

const SILENT_REGISTRY = fileURLToPath(
  new URL('../harness/silent-registry-main.ts', import.meta.url),
);
const PORT = 5000;

suite('a registries.yaml of k3s on plain containerd', () => {
  let cluster: Cluster;
  /** The endpoint of the file. */
  let endpoint: Upstream;
  /** The registry of the image names, which only counts its connections. */
  let registry: string;
  let silent: Child;

  before(async () => {
    cluster = await Cluster.start(SUITES.map((name) => ({ suite: name })));
    endpoint = await cluster.addUpstream('endpoint');
    const host = await cluster.network.addHost('silent');
    registry = `${host.address}:${PORT}`;
    silent = host.start('silent', {
      command: [process.execPath, SILENT_REGISTRY, String(PORT)],
    });
    await waitFor('the registry listens', async () => (await silentLog()).includes('listening'));
  });
  after(async () => {
    await silent.stop();
    await cluster[Symbol.asyncDispose]();
  });

  for (const release of SUITES) {
    scenario(
      `containerd asks the mirror, then the endpoint, then the registry: ${release}`,
      use,
      async () => {
        const node = cluster.node(release);
        await configure(node);
        const { image, name } = await onEndpoint(`${release}/app`);
        const [asked, earlier] = [await askedMirror(node), await connections(node)];

        await node.containerd.pullWithCri(name);
        await assertHoldsImage(node.containerd, image, name);
        assert.ok((await askedMirror(node)) > asked, 'the mirror is asked first');
        const requests = await endpoint.requests();
        assert.ok(requests.some(({ from }) => from === node.host.address));
        assert.equal(
          await connections(node),
          earlier,
          'what the endpoint has is asked nowhere else',
        );

        const other = cluster.nodes.find((each) => each !== node);
        assert.ok(other !== undefined);
        await configure(other);
        await waitFor('the other node finds it', async () => {
          const path = `/v2/${release}/app/blobs/${image.blobs[0]?.digest ?? ''}?ns=${registry}`;
          return (await other.agent.fetch(path, { method: 'HEAD' })).ok;
        });
        await other.containerd.pullWithCri(name);
        await assertHoldsImage(other.containerd, image, name);
        const blobs = (await endpoint.requests()).slice(requests.length);
        assert.ok(
          !blobs.some(({ path }) => path.includes('/blobs/')),
          'the other gets it from here',
        );

        await assert.rejects(node.containerd.pullWithCri(`${registry}/${release}/none:1.0`));
        assert.ok((await connections(node)) > earlier, 'the registry is asked last');
      },
    );

    scenario(
      `containerd does not ask the registry with --disable-default-registry-endpoint: ${release}`,
      use,
      async () => {
        const node = cluster.node(release);
        await configure(node, '--disable-default-registry-endpoint');
        const earlier = await connections(node);
        const { image, name } = await onEndpoint(`${release}/closed`);
        await node.containerd.pullWithCri(name);
        await assertHoldsImage(node.containerd, image, name);
        await assert.rejects(node.containerd.pullWithCri(`${registry}/${release}/none:1.0`));
        assert.equal(await connections(node), earlier);
      },
    );
  }

  function use(): Cluster {
    return cluster;
  }

  /** Configures the node's containerd by a file as k3s has it. */
  async function configure({ host, containerd }: ClusterNode, ...flags: string[]): Promise<void> {
    const file = join(host.directory, 'registries.yaml');
    await writeFile(
      file,
      `mirrors:\n  "${registry}":\n    endpoint:\n      - "${endpoint.origin}"\n`,
    );
    await host.execute([
      process.execPath,
      ...[PROGRAM, 'configuration', '--registries-yaml', file],
      ...['--containerd-registry-config-path', containerd.certsDir],
      ...['--mirror-targets', 'http://127.0.0.1:5000', ...flags],
    ]);
  }

  /** An image that the endpoint has, and its name in the registry. */
  async function onEndpoint(
    repository: string,
  ): Promise<{ image: ImageFixture['image']; name: string }> {
    const { image, layout } = await makeImage({
      name: `${endpoint.registry}/${repository}:1.0`,
      layers: [{}, { bytes: 500_000 }],
    });
    await endpoint.push(layout, image);
    return { image, name: `${registry}/${repository}:1.0` };
  }

  async function askedMirror({ agent }: ClusterNode): Promise<number> {
    return await agent.metric('spegel_mirror_requests_total', { registry });
  }

  function silentLog(): Promise<string> {
    return readFile(silent.logFile, 'utf8');
  }

  /** Connections of the node to the registry itself. */
  async function connections({ host }: ClusterNode): Promise<number> {
    const pattern = new RegExp(`from (?:::ffff:)?${RegExp.escape(host.address)}\n`, 'g');
    return [...(await silentLog()).matchAll(pattern)].length;
  }
});
