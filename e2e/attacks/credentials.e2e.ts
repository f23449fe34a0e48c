import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, suite } from 'node:test';

import { PORTS } from '../harness/agent-process.ts';
import { Cluster, type ClusterNode } from '../harness/cluster.ts';
import { makeImage, REGISTRY } from '../harness/fixtures.ts';
import { assertHoldsImage } from '../harness/image-check.ts';
import { allPaths } from '../harness/mirror.ts';
import type { Host } from '../harness/namespaces.ts';
import { runDirectory } from '../harness/run.ts';
import { scenario } from '../harness/scenario.ts';
import { runHostsCommand } from '../harness/subcommand.ts';
import { waitFor } from '../harness/wait.ts';

const MIRROR = 'http://127.0.0.1:5002';
const USER = { username: 'mirror', password: 'pa:ss word' } as const;
const encode = (password: string): string =>
  Buffer.from(`${USER.username}:${password}`).toString('base64');
const RIGHT = { authorization: `Basic ${encode(USER.password)}` };
const WRONG = { authorization: `Basic ${encode('guessed')}` };

/** Mirrors that ask their clients for credentials, real containerds that have them, and a host that has none. */
suite('a mirror with --basic-auth-dir', () => {
  let cluster: Cluster;
  let stranger: Host;
  let users: string;

  before(async () => {
    users = join(runDirectory(), 'users');
    mkdirSync(users);
    for (const [name, text] of Object.entries(USER)) writeFileSync(join(users, name), text);
    const flags = ['--mirror-addr', new URL(MIRROR).host, '--basic-auth-dir', users];
    cluster = await Cluster.start([
      { suite: 'forky', name: 'a', flags },
      { suite: 'trixie', name: 'b', flags },
      { suite: 'forky', name: 'c', flags },
    ]);
    stranger = await cluster.network.addHost('stranger');
    for (const { containerd } of cluster.nodes) {
      const words = ['--mirror-targets', MIRROR, '--basic-auth-dir', users];
      await runHostsCommand(containerd, 'configuration', ...words);
    }
  });
  after(() => cluster[Symbol.asyncDispose]());

  scenario(
    'gives images to containerds that have the credentials in hosts.toml',
    () => cluster,
    async ({ nodes }) => {
      const [a, ...others] = nodes as [ClusterNode, ...ClusterNode[]];
      const { image, archive } = await makeImage({
        name: `${REGISTRY}/team/app:1.0`,
        layers: [{ bytes: 1_000_000, compression: 'none' }],
      });
      await a.containerd.importArchive(archive);
      for (const { containerd, host, agent } of others) {
        await waitFor(`${host.name} finds the image`, async () => {
          const statuses = allPaths(image).map((path) => statusAt(host, `${MIRROR}${path}`, RIGHT));
          return (await Promise.all(statuses)).every((status) => status === 200);
        });
        await containerd.pullWithCri(image.name);
        await assertHoldsImage(containerd, image);
        const received = { direction: 'received' };
        assert.ok((await agent.metric('peerglass_peer_bytes_total', received)) >= 1_000_000);
      }
    },
  );

  scenario(
    'gives nothing without them: to a host elsewhere, and on the node',
    () => cluster,
    async ({ nodes }) => {
      const [a] = nodes as [ClusterNode];
      const { image, archive } = await makeImage({ name: `${REGISTRY}/team/secret:1.0` });
      await a.containerd.importArchive(archive);
      const peers = `http://${a.host.address}:${PORTS.registry}`;
      await waitFor('the image is served', async () => {
        const [path = ''] = allPaths(image);
        return (await statusAt(a.host, `${MIRROR}${path}`, RIGHT)) === 200;
      });
      for (const path of ['/v2/', ...allPaths(image)]) {
        // A field that looks like a signature is none.
        for (const headers of [{}, WRONG, { 'signature-input': 'x' }]) {
          assert.equal(await statusAt(stranger, `${peers}${path}`, headers), 401, path);
          assert.equal(await statusAt(a.host, `${MIRROR}${path}`, headers), 401, path);
        }
        // A peer's header is none of a client's at the port of the node.
        const asPeer = { 'x-spegel-mirrored': 'true' };
        assert.equal(await statusAt(a.host, `${MIRROR}${path}`, asPeer), 401, path);
        assert.equal(await statusAt(stranger, `${peers}${path}`, asPeer), 401, path);
      }
    },
  );

  scenario(
    'is passed over by a containerd with wrong credentials, which pulls from the registry',
    () => cluster,
    async ({ nodes }) => {
      await using upstream = await cluster.addUpstream();
      for (const [index, { containerd }] of nodes.entries()) {
        const name = `${upstream.registry}/team/other-${index}:1.0`;
        const { image, layout } = await makeImage({ name });
        await upstream.push(layout, image);
        const words = ['--mirror-targets', MIRROR, '--basic-auth-dir', users];
        const registry = ['--mirrored-registries', upstream.origin];
        await runHostsCommand(containerd, 'configuration', ...words, ...registry);
        const file = join(containerd.certsDir, upstream.registry, 'hosts.toml');
        const text = await readFile(file, 'utf8');
        assert.ok(text.includes(encode(USER.password)));
        assert.equal((await stat(file)).mode & 0o777, 0o600);
        await writeFile(file, text.replace(encode(USER.password), encode('guessed')));
        await containerd.pullWithCri(image.name);
        await assertHoldsImage(containerd, image);
      }
    },
  );

  scenario(
    'writes them into no log',
    () => cluster,
    async ({ nodes }) => {
      for (const { host } of nodes) {
        const log = await readFile(join(host.directory, 'agent.log'), 'utf8');
        assert.ok(log.includes('"msg":"agent started"'));
        for (const text of [USER.password, encode(USER.password)]) assert.ok(!log.includes(text));
      }
    },
  );
});

/** The status of a GET from the host. */
async function statusAt(
  from: Host,
  url: string,
  headers: Readonly<Record<string, string>>,
): Promise<number> {
  const response = await from.fetch(url, { headers });
  await response.body?.cancel();
  return response.status;
}
