import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, suite } from 'node:test';

import { newSwarmKey, parseSwarmKeys, type SwarmKey } from '../../agent/membership/swarm-key.ts';
import { loadIdentity } from '../../agent/routing/node/identity.ts';
import { SigningNode } from '../../agent/testing/signing-nodes.ts';
import { agentEnvironment } from '../harness/agent-process.ts';
import { Cluster, type ClusterNode } from '../harness/cluster.ts';
import { makeImage, type ImageFixture } from '../harness/fixtures.ts';
import { assertHoldsImage } from '../harness/image-check.ts';
import { allPaths, waitUntilVisible } from '../harness/mirror.ts';
import type { Host } from '../harness/namespaces.ts';
import { scenario } from '../harness/scenario.ts';
import { ask, linesAbout, refusals, type Asked } from './support/asking.ts';

const HOLDER = 'holder';
const PULLER = 'puller';

/** A host that asks a node's agent for content, in the place of a node of the cluster. */
suite('an impostor', () => {
  let cluster: Cluster;
  let swarmKeys: readonly SwarmKey[];
  let hosts = 0;

  before(async () => {
    cluster = await Cluster.start([
      { suite: 'trixie', name: HOLDER },
      { suite: 'forky', name: PULLER },
    ]);
    swarmKeys = parseSwarmKeys(await readFile(agentEnvironment().SWARM_KEY_FILE, 'utf8'));
  });
  after(() => cluster[Symbol.asyncDispose]());

  scenario(
    'without a signature gets nothing, by any path and whatever it says of itself',
    () => cluster,
    async () => {
      const holder = cluster.node(HOLDER);
      const image = await imported();
      const impostor = await newHost();
      const refused = await refusals(holder, 'unsigned');
      for (const path of allPaths(image.image)) {
        for (const method of ['GET', 'HEAD'] as const) {
          for (const fields of [{}, { 'x-spegel-mirrored': 'true' }, { range: 'bytes=0-' }]) {
            assert.equal(await ask(impostor, holder, { method, path }, fields), 404);
          }
        }
        assert.equal(await ask(impostor, holder, { path: pathWithRegistry(path) }), 404);
      }
      assert.ok((await refusals(holder, 'unsigned')) > refused);
      assert.equal((await linesAbout(holder, impostor, 'unsigned')).length, 1);
      await pull(image);
    },
  );

  scenario(
    'that has the identity file of a node, and not the swarm key, gets nothing',
    () => cluster,
    async () => {
      const holder = cluster.node(HOLDER);
      const image = await imported();
      const directory = join(cluster.node(PULLER).host.directory, 'agent');
      const impostor = await newHost();
      for (const keys of [[], [newSwarmKey()]]) {
        const stolen = new SigningNode(await loadIdentity(directory), keys, false);
        for (const path of allPaths(image.image)) {
          const fields = await sign(stolen, holder, { path });
          assert.equal(await ask(impostor, holder, { path }, fields), 401);
        }
      }
      assert.equal((await linesAbout(holder, impostor, 'signature')).length, 1);
      await pull(image);
    },
  );

  scenario(
    'that repeats what a node has sent gets nothing, nor with a signature of another time',
    () => cluster,
    async () => {
      const holder = cluster.node(HOLDER);
      const image = await imported();
      const member = new SigningNode(await loadIdentity(), swarmKeys, false);
      const impostor = await newHost();
      const [path = ''] = allPaths(image.image);
      const fields = await sign(member, holder, { path });
      // It can be refused: the first time it is served.
      assert.equal(await ask(impostor, holder, { path }, fields), 200);
      assert.equal(await ask(impostor, holder, { path }, fields), 401);
      const other = { method: 'HEAD', path } as const;
      assert.equal(await ask(impostor, holder, other, await sign(member, holder, { path })), 401);
      for (const ahead of [-60, 60]) {
        member.ahead = ahead;
        assert.equal(
          await ask(impostor, holder, { path }, await sign(member, holder, { path })),
          401,
        );
      }
      const puller = cluster.node(PULLER);
      member.ahead = 0;
      const elsewhere = await sign(member, puller, { path });
      assert.equal(await ask(impostor, holder, { path }, elsewhere), 401);
      await pull(image);
    },
  );

  async function newHost(): Promise<Host> {
    return await cluster.network.addHost(`impostor-${hosts++}`);
  }

  /** An image that the holder has, and the puller finds. */
  async function imported(): Promise<ImageFixture> {
    const name = `registry.example.test/team/secret-${hosts}:1.0`;
    const image = await makeImage({ name, layers: [{}] });
    await cluster.node(HOLDER).containerd.importArchive(image.archive);
    await waitUntilVisible(cluster.node(PULLER).agent, image.image);
    return image;
  }

  /** The cluster goes on. */
  async function pull(image: ImageFixture): Promise<void> {
    const { containerd, agent } = cluster.node(PULLER);
    await containerd.pullWithCri(image.image.name);
    await assertHoldsImage(containerd, image.image);
    assert.equal(await agent.metric('peerglass_peer_failures_total', { reason: 'identity' }), 0);
  }
});

/** The fields of a signed request to the node. */
async function sign(
  signer: SigningNode,
  { agent }: ClusterNode,
  { method = 'GET', path }: Asked,
): Promise<Readonly<Record<string, string>>> {
  const status = (await (await agent.fetchMetrics('/debug/status')).json()) as { peerId: string };
  const signature = signer.signer.sign(status.peerId, { method, target: path, range: undefined });
  assert.ok(signature !== undefined);
  return signature.fields;
}

/** The same content, with the registry in the path instead of the query. */
function pathWithRegistry(path: string): string {
  return path.replace('/v2/', '/v2/registry.example.test/').replace(/\?ns=.*$/, '');
}
