import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, suite } from 'node:test';

import { Cluster, type ClusterNode } from '../harness/cluster.ts';
import { SUITES } from '../harness/containerd-versions.ts';
import { makeImage, type ImageFixture } from '../harness/fixtures.ts';
import { writeHostsToml } from '../harness/hosts-toml.ts';
import { assertHoldsImage } from '../harness/image-check.ts';
import { manifestPath, waitUntilVisible } from '../harness/mirror.ts';
import { scenario } from '../harness/scenario.ts';
import { TokenFront, type TokenFrontRequest } from '../harness/token-front.ts';

/** The agent alone: containerd cannot go on to the registry. */
const ONLY_AGENT = 'http://127.0.0.1:5000';
const USER = { username: 'team', password: 'secret' } as const;
const OPEN_PORT = 30_020;
const LAYERS = [{}, { bytes: 3_000_000, compression: 'none' as const }];

suite('agents with --upstream', () => {
  let cluster: Cluster;
  let open: TokenFront;
  let closed: TokenFront;

  before(async () => {
    cluster = await Cluster.start(SUITES.map((name) => ({ suite: name })));
    const { network } = cluster;
    const upstream = await cluster.addUpstream();
    open = await TokenFront.start(await network.addHost('open'), upstream);
    closed = await TokenFront.start(await network.addHost('closed'), upstream, { user: USER });
    const auth = `{ username: ${USER.username}, password: ${USER.password} }`;
    const mirrors = `mirrors: { "${open.registry}": {}, "${closed.registry}": {} }`;
    for (const { agent, containerd, host } of cluster.nodes) {
      const yaml = join(host.directory, 'registries.yaml');
      await writeFile(yaml, `${mirrors}\nconfigs: { "${closed.registry}": { auth: ${auth} } }\n`);
      await agent.restart({
        flags: [
          ...['--upstream', open.origin, closed.origin, '--registries-yaml', yaml],
          ...['--share', `${closed.registry}=all`],
          ...['--mirror-addr', `:${OPEN_PORT}`, '--mirror-clients', 'any'],
        ],
      });
      for (const { registry } of [open, closed]) {
        await writeHostsToml(containerd.certsDir, registry, ONLY_AGENT);
      }
    }
  });
  after(async () => {
    await open[Symbol.asyncDispose]();
    await closed[Symbol.asyncDispose]();
    await cluster[Symbol.asyncDispose]();
  });

  async function fresh(front: TokenFront, name: string): Promise<ImageFixture> {
    const fixture = await makeImage({
      name: `${front.registry}/fresh/${name}:1.0`,
      layers: LAYERS,
    });
    await front.push(fixture.layout, fixture.image);
    return fixture;
  }

  for (const first of SUITES) {
    for (const puller of ['ctr', 'cri'] as const) {
      scenario(
        `a containerd of ${first} that knows no registry pulls with ${puller}, and the others get it from that node`,
        () => cluster,
        async ({ nodes }) => {
          const { image } = await fresh(open, `${first}-${puller}`);
          const node = cluster.node(first);
          const before = (await open.requests()).length;
          await node.containerd.pull(puller, image.name);
          await assertHoldsImage(node.containerd, image);
          const requests = (await open.requests()).slice(before);
          assert.ok(requests.every(({ agent }) => agent.startsWith('peerglass/')));
          assertOnce(requests, image.blobs);

          for (const other of nodes.filter((it) => it !== node)) {
            await waitUntilVisible(other.agent, image);
            await other.containerd.pull(puller, image.name);
            await assertHoldsImage(other.containerd, image);
          }
          // What the tag means each of them has asked the registry, and nothing else.
          const later = (await open.requests()).slice(before + requests.length);
          const others = later.filter(({ at, method }) => at !== 'token' && method !== 'HEAD');
          assert.deepEqual(others, []);
          assert.ok((await node.agent.metric('peerglass_upstream_bytes_total')) > 3_000_000);
        },
      );
    }
  }

  scenario(
    'pull from a private registry with the credentials of registries.yaml, which go to its token server alone',
    () => cluster,
    async () => {
      for (const { containerd, name } of cluster.nodes) {
        const { image } = await fresh(closed, `private-${name}`);
        await containerd.pullWithCri(image.name);
        await assertHoldsImage(containerd, image);
      }
    },
  );

  scenario(
    'tell the client why a registry refuses',
    () => cluster,
    async ({ nodes }) => {
      const [{ agent, containerd }] = nodes as [ClusterNode];
      const path = `/v2/no/such/manifests/1.0?ns=${encodeURIComponent(open.registry)}`;
      const response = await agent.fetch(path);
      assert.equal(response.status, 404);
      assert.match(await response.text(), /answers 404: MANIFEST_UNKNOWN: manifest unknown/);
      await assert.rejects(containerd.pullWithCri(`${open.registry}/no/such:1.0`), /not found/);
    },
  );

  scenario(
    'go upstream for their own node only',
    () => cluster,
    async ({ network, nodes }) => {
      const { image } = await fresh(closed, 'not-for-others');
      const elsewhere = await network.addHost('elsewhere');
      const before = (await closed.requests()).length;
      for (const { host } of nodes) {
        for (const port of [5000, OPEN_PORT]) {
          for (const path of [manifestPath(image), manifestPath(image, image.target.digest)]) {
            const { status } = await elsewhere.fetch(`http://${host.address}:${port}${path}`);
            assert.equal(status, 404, `${host.name}:${port}${path}`);
          }
        }
      }
      // What another node asks is answered from what is here.
      const [one, other] = nodes as [ClusterNode, ClusterNode];
      assert.equal((await one.agent.fetch(manifestPath(image), { method: 'HEAD' })).status, 200);
      const asked = (await closed.requests()).slice(before);
      assert.ok(
        asked.every(({ from }) => from === one.host.address && from !== other.host.address),
      );
    },
  );
});

/** Each blob has been fetched once, and each manifest but for HEADs. */
function assertOnce(
  requests: readonly TokenFrontRequest[],
  blobs: readonly { readonly digest: string }[],
): void {
  const gets = requests.filter(
    ({ at, method, status }) => at !== 'token' && method === 'GET' && status < 300,
  );
  for (const { digest } of blobs) {
    const times = gets.filter(({ path }) => path.includes(digest)).length;
    assert.equal(times, 1, `${times} times ${digest}`);
  }
}
