import assert from 'node:assert/strict';
import { after, before, suite } from 'node:test';

import { PORTS } from '../harness/agent-process.ts';
import { Cluster, type ClusterNode } from '../harness/cluster.ts';
import { makeImage, type ImageFixture } from '../harness/fixtures.ts';
import { writeHostsToml } from '../harness/hosts-toml.ts';
import { assertHoldsImage } from '../harness/image-check.ts';
import { allPaths, givesContent, headStatus, manifestPath } from '../harness/mirror.ts';
import { scenario } from '../harness/scenario.ts';
import { Upstream } from '../harness/upstream.ts';
import { waitFor } from '../harness/wait.ts';

const USER = { username: 'team', password: 'secret' } as const;
/** The mirror of one node is there for anyone, as behind a NodePort. */
const NODE_PORT = 30_020;
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
    const nodePort = ['--mirror-addr', `:${NODE_PORT}`, '--mirror-clients', 'any'];
    cluster = await Cluster.start([
      { suite: 'trixie', name: 'a', flags },
      { suite: 'bookworm', name: 'b', flags: [...flags, '--authorized-outage', 'local'] },
      { suite: 'forky', name: 'c', flags: [...flags, '--authorized-outage', 'local', ...nodePort] },
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
        for (const path of ['/debug/status', '/debug/peers', '/debug/downloads']) {
          const debug = await (await agent.fetchMetrics(path)).text();
          assert.ok(!debug.includes(image.name.split('/').slice(1).join('/')), path);
        }
        const named = await agent.fetchMetrics(`/debug/providers?key=${image.name}`);
        assert.deepEqual(((await named.json()) as { peers: unknown }).peers, []);
      }
    },
  );

  scenario(
    'is not named to another host, at the port for peers or at one of a node that serves anyone',
    () => cluster,
    async ({ nodes }) => {
      const [a, , c] = nodes as [ClusterNode, ClusterNode, ClusterNode];
      const { image } = await heldBy(a, 'team');
      await c.containerd.pullWithCri(image.name, USER);
      const host = await cluster.network.addHost('elsewhere');
      const statusAt = async (port: string, method: string, path: string): Promise<number> => {
        const response = await host.fetch(`http://${port}${path}`, { method });
        await response.arrayBuffer();
        return response.status;
      };
      for (const { host: node } of nodes) {
        for (const path of allPaths(image)) {
          for (const method of ['HEAD', 'GET']) {
            const port = `${node.address}:${PORTS.registry}`;
            assert.equal(await statusAt(port, method, path), 404, `${method} ${path}`);
          }
        }
      }
      const open = `${c.host.address}:${NODE_PORT}`;
      const [byTag, byDigest] = [manifestPath(image), manifestPath(image, image.target.digest)];
      assert.equal(await statusAt(open, 'HEAD', byTag), 404);
      assert.equal(await statusAt(open, 'GET', byTag), 404);
      assert.equal(await statusAt(open, 'HEAD', byDigest), 404);
      // The limit: who knows the digest gets the bytes.
      assert.equal(await statusAt(open, 'GET', byDigest), 200);
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

  /** An image of the registry that one node has pulled, and whose layers the others find if they are shared. */
  async function heldBy(node: ClusterNode, team: string, isShared = true): Promise<ImageFixture> {
    const name = `${upstream.registry}/${team}/image-${images++}:1.0`;
    const fixture = await makeImage({ name, layers: LAYERS });
    await upstream.push(fixture.layout, fixture.image);
    await node.containerd.pullWithCri(name, USER);
    const [path = ''] = allPaths(fixture.image).filter((each) => each.includes('/blobs/'));
    for (const { agent } of isShared ? cluster.nodes : []) {
      await waitFor('its layers are found', () => givesContent(agent, path));
    }
    return fixture;
  }
});
