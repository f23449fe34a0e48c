import assert from 'node:assert/strict';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, suite } from 'node:test';

import { Cluster, type ClusterNode } from '../harness/cluster.ts';
import { installPackages, missingPackages } from '../harness/debian.ts';
import { makeImage, type ImageFixture } from '../harness/fixtures.ts';
import { writeHostsToml } from '../harness/hosts-toml.ts';
import { waitUntilVisible } from '../harness/mirror.ts';
import { scenario } from '../harness/scenario.ts';
import { TokenFront } from '../harness/token-front.ts';

const AGENT = '127.0.0.1:5000';

/**
 * skopeo, with the library of podman and CRI-O: it sends no `ns`, chooses a mirror once for each image, and a blob that the mirror
 * does not have ends the pull. The registry itself is asked by https, where nothing listens.
 */
suite('skopeo with the agent as mirror of registries.conf', () => {
  let cluster: Cluster;
  let front: TokenFront;
  let copies = 0;

  before(async () => {
    await installPackages(await missingPackages(['skopeo']));
    cluster = await Cluster.start([
      { suite: 'bookworm', name: 'a' },
      { suite: 'trixie', name: 'b' },
    ]);
    const upstream = await cluster.addUpstream();
    const host = await cluster.network.addHost('front');
    // A registry in a path cannot have a port there: no repository name has a colon.
    front = await TokenFront.start(host, upstream, { port: 80 });
    for (const { agent, containerd, host: node } of cluster.nodes) {
      await agent.restart({ flags: ['--upstream', front.origin] });
      await writeHostsToml(containerd.certsDir, front.registry, `http://${AGENT}`);
      await writeFile(
        join(node.directory, 'registries.conf'),
        `[[registry]]
location = "${front.registry}"

[[registry.mirror]]
location = "${AGENT}/${front.registry}"
insecure = true
`,
      );
    }
  });
  after(async () => {
    await front[Symbol.asyncDispose]();
    await cluster[Symbol.asyncDispose]();
  });

  async function fresh(name: string): Promise<ImageFixture> {
    const fixture = await makeImage({
      name: `${front.registry}/clients/${name}:1.0`,
      layers: [{}, { bytes: 6_000_000, compression: 'none' }],
    });
    await front.push(fixture.layout, fixture.image);
    return fixture;
  }

  /** Copies the image into a folder, and asserts that all of it is there. */
  async function copy({ host }: ClusterNode, { image }: ImageFixture): Promise<void> {
    copies += 1;
    const folder = join(host.directory, `copy-${copies}`);
    await host.execute([
      ...(['skopeo', '--insecure-policy'] as const),
      ...['--registries-conf', join(host.directory, 'registries.conf'), 'copy', '--all'],
      ...[`docker://${image.name}`, `dir:${folder}`],
    ]);
    const files = await readdir(folder);
    const layers = image.manifests.flatMap((it) => it.layers.map(({ descriptor }) => descriptor));
    for (const { digest, size } of layers) {
      const name = digest.replace('sha256:', '');
      assert.ok(files.includes(name), `${name} of ${size} bytes`);
      assert.equal((await readFile(join(folder, name))).length, size);
    }
  }

  scenario(
    'copies an image that no node holds, which the agent fetches',
    () => cluster,
    async ({ nodes }) => {
      const [a] = nodes as [ClusterNode];
      await copy(a, await fresh('fresh'));
      const requests = await front.requests();
      assert.ok(requests.some(({ at }) => at === 'storage'));
      assert.ok(requests.every(({ agent }) => agent.startsWith('peerglass/')));
    },
  );

  scenario(
    'copies an image that another node holds, and one of its own node, while the registry is down',
    () => cluster,
    async ({ nodes }) => {
      const [a, b] = nodes as [ClusterNode, ClusterNode];
      const fixture = await fresh('held');
      await a.containerd.pullWithCri(fixture.image.name);
      await waitUntilVisible(b.agent, fixture.image);
      await front[Symbol.asyncDispose]();
      await copy(b, fixture);
      await copy(a, fixture);
    },
  );
});
