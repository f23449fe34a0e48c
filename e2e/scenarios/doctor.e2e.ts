import assert from 'node:assert/strict';
import { mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, suite } from 'node:test';

import { PORTS, PROGRAM } from '../harness/agent-process.ts';
import { Cluster, type ClusterNode } from '../harness/cluster.ts';
import { SUITES } from '../harness/containerd-versions.ts';
import { examine, followImage, type Diagnosis, type DoctorFinding } from '../harness/doctor.ts';
import { makeImage, REGISTRY } from '../harness/fixtures.ts';
import { writeHostsToml } from '../harness/hosts-toml.ts';
import { waitUntilVisible } from '../harness/mirror.ts';
import { scenario } from '../harness/scenario.ts';
import { waitFor } from '../harness/wait.ts';

/** The finding of one check. */
function found(diagnosis: Diagnosis, id: string): DoctorFinding {
  const finding = diagnosis.all.find((it) => it.id === id);
  assert.ok(finding !== undefined, `no check ${id}`);
  return finding;
}

/** Asserts that these checks, and no others, are not ok. */
function assertFindings(
  diagnosis: Diagnosis,
  expected: Readonly<Record<string, DoctorFinding['outcome']>>,
): void {
  const actual = Object.fromEntries(diagnosis.findings.map(({ id, outcome }) => [id, outcome]));
  assert.deepEqual(actual, expected, JSON.stringify(diagnosis.findings, undefined, 1));
  const failed = Object.values(expected).includes('failure');
  assert.equal(diagnosis.code, failed ? 1 : 0);
}

/** The configuration of a node's containerd, put back at the end. */
class Configuration implements AsyncDisposable {
  readonly #node: ClusterNode;
  readonly #original: string;

  private constructor(node: ClusterNode, original: string) {
    this.#node = node;
    this.#original = original;
  }

  static async of(node: ClusterNode): Promise<Configuration> {
    return new Configuration(node, await readFile(fileOf(node), 'utf8'));
  }

  /** Restarts containerd with what `edit` makes of the original. */
  async change(edit: (text: string) => string): Promise<void> {
    const text = edit(this.#original);
    assert.notEqual(text, this.#original);
    await this.#restart(text);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#restart(this.#original);
  }

  async #restart(text: string): Promise<void> {
    await writeFile(fileOf(this.#node), text);
    await this.#node.containerd.restart();
  }
}

function fileOf({ host }: ClusterNode): string {
  return join(host.directory, 'config.toml');
}

/** Each finding is provoked for real; and a node where all is well has none. */
suite('the doctor', () => {
  let cluster: Cluster;

  before(async () => {
    cluster = await Cluster.start(SUITES.map((name) => ({ suite: name })));
    for (const { host, containerd } of cluster.nodes) {
      // The doctor must accept the files that `configuration` writes.
      await rm(containerd.certsDir, { recursive: true });
      await host.execute([
        ...([process.execPath, PROGRAM, 'configuration'] as const),
        ...['--mirror-targets', `http://127.0.0.1:${PORTS.registry}`],
        ...['--containerd-registry-config-path', containerd.certsDir],
      ]);
    }
  });
  after(async () => {
    await cluster[Symbol.asyncDispose]();
  });

  for (const release of SUITES) {
    scenario(
      `finds nothing on a healthy node, and each fault of its configuration: ${release}`,
      () => cluster,
      async () => {
        const node = cluster.node(release);
        const { containerd } = node;
        const { archive } = await makeImage({ name: `${REGISTRY}/doctor/${release}:1.0` });
        await containerd.importArchive(archive);
        await node.agent.ready();
        assertFindings(await examine(node), {});

        const path = `config_path = "${containerd.certsDir}"`;
        await using configuration = await Configuration.of(node);
        const proxy = `[proxy_plugins.stargz]\n  type = "snapshot"\n  address = "${node.host.directory}/none.sock"\n`;
        await configuration.change(
          (text) =>
            text
              .replaceAll(path, 'config_path = ""')
              .replace('snapshotter = "overlayfs"', 'snapshotter = "stargz"') + proxy,
        );
        const unset = await examine(node);
        assert.match(found(unset, 'config-path').reason, /not set/);
        assert.match(found(unset, 'snapshotter').reason, /stargz/);
        assert.equal(unset.code, 1);

        const discard = 'discard_unpacked_layers = true\n  snapshotter = "overlayfs"';
        await configuration.change((text) =>
          text
            .replaceAll(path, `config_path = "${containerd.certsDir}:/etc/docker/certs.d"`)
            .replace('snapshotter = "overlayfs"', discard),
        );
        assertFindings(await examine(node), {
          'config-path': containerd.release.isV2 ? 'failure' : 'warning',
          'discard-unpacked-layers': 'failure',
        });
      },
    );
  }

  scenario(
    'finds faults of hosts.toml files and images',
    () => cluster,
    async () => {
      const node = cluster.node('forky');
      const { certsDir } = node.containerd;
      const file = join(certsDir, '_default/hosts.toml');
      const good = await readFile(file, 'utf8');
      const { image, archive } = await makeImage({ name: `${REGISTRY}/doctor/images:1.0` });
      const stray = await makeImage({ name: `${REGISTRY}/doctor/stray:1.0` });

      // One examination of many faults: each check finds its own.
      await mkdir(join(certsDir, 'quay.io'));
      await writeHostsToml(certsDir, 'docker.io', 'https://docker.io', ['https://a.example']);
      await writeHostsToml(certsDir, 'ghcr.io', 'https://ghcr.io');
      await writeFile(join(certsDir, 'ghcr.io/hosts.toml'), `${good}ca = 'gone.crt'\n`);
      await writeFile(file, good.replace("'resolve'", "'resolve', 'read'"));
      await node.containerd.importArchive(archive);
      await node.containerd.ctr('content', 'rm', ...layersOf(image));
      await node.containerd.ctr('-n', 'default', 'image', 'import', stray.archive);
      try {
        const bad = await examine(node);
        assert.match(found(bad, 'hosts-hidden').details?.join() ?? '', /docker\.io.*quay\.io/);
        assert.match(found(bad, 'hosts-valid').details?.join() ?? '', /_default.*line \d+.*read/);
        assert.match(found(bad, 'hosts-server').details?.join() ?? '', /registry-1\.docker\.io/);
        assert.match(found(bad, 'certificates').details?.join() ?? '', /gone\.crt: is not there/);
        assert.match(found(bad, 'missing-layers').details?.join() ?? '', /doctor\/images:1\.0/);
        const { outcome, details } = found(bad, 'image-namespace');
        assert.deepEqual([outcome, details], ['warning', [stray.image.name]]);
        const failed = bad.findings.filter((it) => it.outcome === 'failure').map(({ id }) => id);
        assert.deepEqual(failed, [
          'hosts-hidden',
          'hosts-valid',
          'hosts-server',
          'certificates',
          'missing-layers',
        ]);
        await rm(certsDir, { recursive: true });
        assert.equal(found(await examine(node), 'hosts-file').outcome, 'failure');
      } finally {
        await rm(certsDir, { recursive: true, force: true });
        await mkdir(join(certsDir, '_default'), { recursive: true });
        await writeFile(file, good);
        await node.containerd.ctr('-n', 'default', 'image', 'rm', '--sync', stray.image.name);
      }
    },
  );

  scenario(
    'follows an image to its holders, and gives the reason when there is none',
    () => cluster,
    async () => {
      const [holder, asker] = [cluster.node('bookworm'), cluster.node('trixie')];
      const { image, archive } = await makeImage({ name: `${REGISTRY}/doctor/follow:1.0` });
      await holder.containerd.importArchive(archive);
      await waitUntilVisible(asker.agent, image);
      const there = await followImage(asker, image.name);
      assert.equal(there.code, 0, JSON.stringify(there));
      const origin = `http://${holder.host.address}:${PORTS.registry}`;
      for (const { servedBy, here, holders } of there.parts) {
        assert.deepEqual([servedBy, here], [origin, false]);
        assert.deepEqual(
          holders.map((it) => it.answer),
          ['has it'],
        );
      }
      const here = await followImage(holder, image.name);
      assert.ok(here.parts.every(({ servedBy }) => servedBy === 'local'));
      const nowhere = await followImage(asker, `${REGISTRY}/doctor/nowhere:1.0`);
      assert.equal(nowhere.code, 1);
      assert.equal(nowhere.parts[0]?.why, 'no node has it');
      const latest = await followImage(asker, `${REGISTRY}/doctor/follow`);
      assert.match(latest.parts[0]?.why ?? '', /latest is not shared/);
    },
  );

  scenario(
    'probes the mirror from the network of containerd, also when it runs in another one',
    () => cluster,
    async () => {
      const node = cluster.node('trixie');
      const outside = await examine(node, [], 'outside');
      assert.equal(found(outside, 'mirror-port').outcome, 'ok');
      // The agent is unreachable from there.
      assert.equal(found(outside, 'agent').outcome, 'failure');
    },
  );

  scenario(
    'finds unreachable peers, and clocks that differ',
    () => cluster,
    async (_cluster, t) => {
      const [node, other] = [cluster.node('forky'), cluster.node('trixie')];
      const shift = join(other.host.directory, 'shift.mjs');
      await writeFile(shift, DATE_SHIFT);
      await other.agent.restart({ env: { NODE_OPTIONS: `--import=${shift}` } });
      t.after(() => other.agent.restart({}));
      await waitFor('both peers are back', async () => {
        const diagnosis = await examine(node);
        return found(diagnosis, 'clock-skew').outcome === 'failure';
      });
      // A rule that drops what one port answers, as a firewall does.
      const rule = ['rule', 'add', 'ipproto', 'tcp', 'sport', String(PORTS.registry), 'blackhole'];
      await other.host.execute(['ip', ...rule] as [string, ...string[]]);
      try {
        const { outcome, details } = found(await examine(node), 'peer-registry');
        assert.equal(outcome, 'failure');
        assert.match(
          details?.join() ?? '',
          new RegExp(`${RegExp.escape(other.host.address)}.*TIMEOUT`),
        );
      } finally {
        const undo = rule.map((word) => (word === 'add' ? 'del' : word));
        await other.host.execute(['ip', ...undo] as [string, ...string[]]);
      }
    },
  );

  scenario(
    'finds a stopped agent, a port that k3s holds, and a lone node',
    () => cluster,
    async (_cluster, t) => {
      const node = cluster.node('bookworm');
      const others = cluster.nodes.filter((it) => it !== node);
      for (const { agent } of others) await agent.kill();
      t.after(() => Promise.all(cluster.nodes.map(({ agent }) => agent.restart({}))));
      await waitFor('it is alone and says who does not answer', async () => {
        const alone = await examine(node);
        const { details } = found(alone, 'bootstrap-addresses');
        return found(alone, 'peers').outcome === 'warning' && details?.length === 2;
      });

      await node.agent.kill();
      const k3s = join(node.host.directory, 'k3s.yaml');
      await writeFile(k3s, 'embedded-registry: true\n');
      const program = join(node.host.directory, 'k3s-server');
      await symlink('/usr/bin/perl', program);
      await using running = new AsyncDisposableStack();
      const command = [program, '-e', LISTEN, String(PORTS.router)] as const;
      running.use(node.host.start('k3s', { command: [...command] }));
      const flags = ['--k3s-config', k3s];
      await waitFor('the port is held', async () => {
        const { reason } = found(await examine(node, flags), 'router-port');
        return reason.includes('held by k3s-server');
      });
      const away = await examine(node, flags);
      for (const id of ['agent', 'mirror-port', 'router-port', 'embedded-mirror']) {
        assert.equal(found(away, id).outcome, 'failure', id);
      }
      await node.containerd.kill();
      const dead = await examine(node);
      assert.equal(found(dead, 'containerd-reachable').outcome, 'failure');
      assert.equal(found(dead, 'config-path').outcome, 'skipped');
      await node.containerd.restart();
    },
  );
});

/** Makes the HTTP servers of a process send a date one hour ahead. */
const DATE_SHIFT = `import { ServerResponse } from 'node:http';
const { writeHead } = ServerResponse.prototype;
ServerResponse.prototype.writeHead = function (...args) {
  this.setHeader('Date', new Date(Date.now() + 3_600_000).toUTCString());
  return writeHead.apply(this, args);
};
`;

/** Listens at the port that it is given. */
const LISTEN = `use IO::Socket::INET; my $s = IO::Socket::INET->new(LocalPort => shift, Listen => 1, ReuseAddr => 1) or die; sleep 600;`;

function layersOf(image: Awaited<ReturnType<typeof makeImage>>['image']): string[] {
  return image.manifests.flatMap(({ layers }) => layers.map(({ descriptor }) => descriptor.digest));
}
