import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, suite } from 'node:test';

import { clientPrograms, type ClientName } from '../harness/client-programs.ts';
import { Cluster, type ClusterNode } from '../harness/cluster.ts';
import { makeImage, type ImageFixture } from '../harness/fixtures.ts';
import { writeHostsToml } from '../harness/hosts-toml.ts';
import { waitUntilVisible } from '../harness/mirror.ts';
import { scenario } from '../harness/scenario.ts';
import { TokenFront, type TokenFrontRequest } from '../harness/token-front.ts';
import { waitFor } from '../harness/wait.ts';
import type { ImageSpec } from '../images/image.ts';
import { CLIENTS, type OtherClient } from './support/other-clients.ts';

/** What images are named by, as in the files of docs/CLIENTS.md. Its host cannot be reached from the nodes. */
const REGISTRY = 'docker.io';
const LAYERS = [{}, { bytes: 6_000_000, compression: 'none' as const }];

const programs = await clientPrograms();
for (const [name, why] of programs.missing) {
  process.stderr.write(`e2e: SKIPPED: ${name}: ${why}. It was NOT tried as a client.\n`);
}
process.stderr.write('e2e: SKIPPED: CRI-O, which Debian does not have. podman has its library.\n');

/**
 * Clients that send no `ns` and choose a mirror once for each image: a blob that the mirror does not have ends the pull. They
 * run with the files of the documentation.
 */
suite('clients other than containerd', () => {
  let cluster: Cluster;
  let front: TokenFront;
  const clients: OtherClient[] = [];

  before(async () => {
    cluster = await Cluster.start([
      { suite: 'bookworm', name: 'a' },
      { suite: 'trixie', name: 'b' },
    ]);
    const upstream = await cluster.addUpstream();
    front = await TokenFront.start(await cluster.network.addHost('front'), upstream);
    const endpoints = `mirrors: { ${REGISTRY}: { endpoint: ["${front.origin}"] } }\n`;
    for (const { agent, containerd, host } of cluster.nodes) {
      await writeFile(join(host.directory, 'registries.yaml'), endpoints);
      await agent.restart(flags({ host }));
      await writeHostsToml(containerd.certsDir, REGISTRY, 'http://127.0.0.1:5000');
    }
    const node = cluster.node('b');
    for (const [name, start] of Object.entries(CLIENTS)) {
      const program = programs.paths.get(name as ClientName);
      if (program === undefined) continue;
      const folder = join(node.host.directory, name);
      await mkdir(folder);
      clients.push(await start({ node, program, programs, folder }));
    }
  });
  after(async () => {
    for (const client of clients) await client[Symbol.asyncDispose]();
    await front[Symbol.asyncDispose]();
    await cluster[Symbol.asyncDispose]();
  });

  function flags({ host }: Pick<ClusterNode, 'host'>): { readonly flags: string[] } {
    const ours = ['--upstream', REGISTRY, '--unnamed-registry', REGISTRY];
    return { flags: [...ours, '--registries-yaml', join(host.directory, 'registries.yaml')] };
  }

  async function fresh(name: string, layers: ImageSpec['layers'] = LAYERS): Promise<ImageFixture> {
    const fixture = await makeImage({ name: `${REGISTRY}/clients/${name}:1.0`, layers });
    const named = fixture.image.name.replace(REGISTRY, front.registry);
    await front.push(fixture.layout, { ...fixture.image, name: named });
    return fixture;
  }

  /** Requests of nodes since then. */
  async function since(count: number): Promise<TokenFrontRequest[]> {
    return (await front.requests()).slice(count);
  }

  scenario(
    'pull an image that no node holds, which the agent fetches',
    () => cluster,
    async () => {
      assert.ok(clients.length > 0, 'none could be had');
      for (const client of clients) {
        const before = (await front.requests()).length;
        await client.pull((await fresh(`fresh-${client.name}`)).image);
        const requests = await since(before);
        assert.ok(
          requests.some(({ at }) => at === 'storage'),
          client.name,
        );
        assert.ok(
          requests.every(({ agent }) => agent.startsWith('peerglass/')),
          client.name,
        );
      }
    },
  );

  scenario(
    'pull an image that another node holds, of which the registry is asked what the tag means',
    () => cluster,
    async ({ nodes }) => {
      const [a, b] = nodes as [ClusterNode, ClusterNode];
      const { image } = await fresh('held');
      await a.containerd.pullWithCri(image.name);
      await waitUntilVisible(b.agent, image);
      const before = (await front.requests()).length;
      for (const client of clients) await client.pull(image);
      const asked = (await since(before)).map(({ method, path }) => `${method} ${path}`);
      assert.deepEqual(
        [...new Set(asked)],
        [`HEAD /v2/clients/held/manifests/1.0?ns=${REGISTRY}`],
        'the content comes from the other node',
      );
    },
  );

  scenario(
    'get the rest of a blob from the registry, when the node that sends it dies in the middle',
    () => cluster,
    async ({ nodes }) => {
      const [a, b] = nodes as [ClusterNode, ClusterNode];
      const received = (): Promise<number> =>
        b.agent.metric('peerglass_peer_bytes_total', { direction: 'received' });
      // Larger than what is on its way between two sockets, which arrives although the node has died.
      const { image } = await fresh('dying', [{}, { bytes: 24_000_000, compression: 'none' }]);
      await a.containerd.pullWithCri(image.name);
      await waitUntilVisible(b.agent, image);
      const [requests, bytes] = [(await front.requests()).length, await received()];
      await a.host.limitUpload(80);
      const pulls = Promise.all(clients.map((client) => client.pull(image)));
      await Promise.race([
        waitFor('the layers arrive', async () => (await received()) > bytes + 4_000_000),
        pulls,
      ]);
      await a.agent.kill();
      await a.host.limitUpload(undefined);
      await pulls;
      const large = image.blobs.find(({ size }) => size > 20_000_000);
      const rests = (await since(requests)).filter(
        ({ at, path, status }) =>
          at === 'storage' && status === 206 && path.includes(large?.digest ?? 'none'),
      );
      assert.ok(rests.length > 0, 'nothing was left to fetch');
      await a.agent.restart(flags(a));
    },
  );

  scenario(
    'pull what another node holds, while the registry is down',
    () => cluster,
    async ({ nodes }) => {
      const [a, b] = nodes as [ClusterNode, ClusterNode];
      const { image } = await fresh('held-too');
      await a.containerd.pullWithCri(image.name);
      await waitUntilVisible(b.agent, image);
      await front[Symbol.asyncDispose]();
      for (const client of clients) await client.pull(image);
    },
  );
});
