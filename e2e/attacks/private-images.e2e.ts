import assert from 'node:assert/strict';
import { after, before, suite } from 'node:test';

import { Cluster, type ClusterNode } from '../harness/cluster.ts';
import { makeImage, type ImageFixture } from '../harness/fixtures.ts';
import { writeHostsToml } from '../harness/hosts-toml.ts';
import { assertHoldsImage } from '../harness/image-check.ts';
import { allPaths, headStatus, manifestPath } from '../harness/mirror.ts';
import { scenario } from '../harness/scenario.ts';
import { Upstream } from '../harness/upstream.ts';
import { waitFor } from '../harness/wait.ts';

const USER = { username: 'team', password: 'secret' } as const;
const LAYERS = [{}, { bytes: 1_000_000 }];
/** containerd 2.1 shows the 404 of the mirror, and not the 401 of the registry behind it. */
const REFUSED = /401|authorization|unauthorized|failed to resolve/i;

/** A registry that lets in one user, its image on one node, and pods of others on the other nodes. */
suite('a private image with --share authorized', () => {
  let cluster: Cluster;
  let upstream: Upstream;
  let images = 0;

  before(async () => {
    const flags = ['--share', '*/team=authorized', '--share', '*/secret=none'];
    cluster = await Cluster.start([
      { suite: 'trixie', name: 'a', flags },
      { suite: 'bookworm', name: 'b', flags: [...flags, '--authorized-outage', 'local'] },
      { suite: 'forky', name: 'c', flags: [...flags, '--authorized-outage', 'local'] },
    ]);
    upstream = await Upstream.start(await cluster.network.addHost('upstream'), USER);
    for (const { containerd } of cluster.nodes) {
      await writeHostsToml(containerd.certsDir, upstream.registry, upstream.origin);
    }
  });
  after(async () => {
    await upstream[Symbol.asyncDispose]();
    await cluster[Symbol.asyncDispose]();
  });

  scenario(
    'is pulled by who may have it, its layers from the other node',
    () => cluster,
    async ({ nodes }) => {
      const [a, ...others] = nodes as [ClusterNode, ...ClusterNode[]];
      const { image } = await heldBy(a, 'team');
      for (const { containerd, host } of others) {
        const before = (await upstream.requests()).length;
        await containerd.pullWithCri(image.name, USER);
        await assertHoldsImage(containerd, image);
        const asked = (await upstream.requests()).slice(before);
        const ours = asked.filter(({ from }) => from === host.address);
        assert.ok(ours.some(({ method, status }) => method === 'HEAD' && status === 200));
        // A GET of a manifest counts as a pull at Docker Hub, a HEAD does not.
        assert.deepEqual(
          ours.filter(({ method, path }) => method === 'GET' && path !== '/v2/'),
          [],
        );
      }
    },
  );

  scenario(
    'is not pulled by who may not, by tag or by digest, whatever the nodes hold',
    () => cluster,
    async ({ nodes }) => {
      const [a, ...others] = nodes as [ClusterNode, ...ClusterNode[]];
      const { image } = await heldBy(a, 'team');
      const [repository] = image.name.split(':1.0');
      const names = [image.name, `${repository ?? ''}@${image.target.digest}`];
      for (const { containerd } of others) {
        for (const name of names) {
          await assert.rejects(containerd.pullWithCri(name), REFUSED);
          const wrong = { ...USER, password: 'guessed' };
          await assert.rejects(containerd.pullWithCri(name, wrong), REFUSED);
        }
        assert.equal((await containerd.contentDigests()).has(image.target.digest), false);
      }
    },
  );

  scenario(
    'is not named by any node: neither its tag, nor what a digest is, nor at /debug',
    () => cluster,
    async ({ nodes }) => {
      const [a, ...others] = nodes as [ClusterNode, ...ClusterNode[]];
      const { image } = await heldBy(a, 'team');
      for (const { agent } of [a, ...others]) {
        assert.equal(await headStatus(agent, manifestPath(image)), 404);
        const byDigest = manifestPath(image, image.target.digest);
        assert.equal(await headStatus(agent, byDigest), 404);
        // containerd asks for a blob of that digest next.
        assert.equal(await headStatus(agent, byDigest.replace('/manifests/', '/blobs/')), 404);
        const debug = await (await agent.fetchMetrics('/debug/status')).text();
        assert.ok(!debug.includes(image.name.split('/').slice(1).join('/')));
      }
    },
  );

  scenario(
    'starts where it is held while the registry is away, if the options allow that, and nowhere else',
    () => cluster,
    async ({ nodes }) => {
      const [a, b, c] = nodes as [ClusterNode, ClusterNode, ClusterNode];
      const { image } = await heldBy(a, 'team');
      await c.containerd.pullWithCri(image.name, USER);
      await assert.rejects(c.containerd.pullWithCri(image.name), REFUSED);
      const isNamedBy = async ({ agent }: ClusterNode): Promise<boolean> =>
        (await headStatus(agent, manifestPath(image))) === 200;
      // Its host still accepts connections, and nothing answers.
      process.kill(upstream.pid, 'SIGSTOP');
      try {
        await waitFor('the registry is found to be away', () => isNamedBy(c));
        const [repository = ''] = image.name.split(':1.0');
        for (const name of [image.name, `${repository}@${image.target.digest}`]) {
          await c.containerd.pullWithCri(name);
        }
        assert.equal(await isNamedBy(a), false, 'it has the image, and denies');
        assert.equal(await isNamedBy(b), false, 'it does not have the image');
      } finally {
        process.kill(upstream.pid, 'SIGCONT');
      }
      await waitFor('the registry is found to be back', async () => !(await isNamedBy(c)));
      await assert.rejects(c.containerd.pullWithCri(image.name), REFUSED);
    },
  );

  scenario(
    'is not given at all with none',
    () => cluster,
    async ({ nodes }) => {
      const [a, b] = nodes as [ClusterNode, ClusterNode];
      const { image } = await heldBy(a, 'secret', false);
      for (const path of allPaths(image)) {
        for (const { agent } of [a, b]) assert.equal(await headStatus(agent, path), 404, path);
      }
      await b.containerd.pullWithCri(image.name, USER);
      await assertHoldsImage(b.containerd, image);
    },
  );

  /** Status of a GET of one byte. */
  async function getStatus(agent: ClusterNode['agent'], path: string): Promise<number> {
    const response = await agent.fetch(path, { headers: { range: 'bytes=0-0' } });
    await response.body?.cancel();
    return response.status;
  }

  /** An image of the registry that one node has pulled, and whose layers the others find if they are shared. */
  async function heldBy(node: ClusterNode, team: string, isShared = true): Promise<ImageFixture> {
    const name = `${upstream.registry}/${team}/image-${images++}:1.0`;
    const fixture = await makeImage({ name, layers: LAYERS });
    await upstream.push(fixture.layout, fixture.image);
    await node.containerd.pullWithCri(name, USER);
    const [path = ''] = allPaths(fixture.image).filter((each) => each.includes('/blobs/'));
    for (const { agent } of isShared ? cluster.nodes : []) {
      await waitFor('its layers are found', async () => (await getStatus(agent, path)) === 206);
    }
    return fixture;
  }
});
