import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, suite } from 'node:test';
import { fileURLToPath } from 'node:url';

import { hostPlatform } from '../images/image.ts';
import { execute } from '../harness/child.ts';
import { makeImage, REGISTRY } from '../harness/fixtures.ts';
import { HostCluster, mirrorOf, untilReady } from '../harness/host-cluster.ts';
import type { HostSystem } from '../harness/host-system.ts';
import { assertHoldsImage } from '../harness/image-check.ts';
import { waitUntilVisible } from '../harness/mirror.ts';
import { runDirectory } from '../harness/run.ts';
import { scenario } from '../harness/scenario.ts';
import { parseUnit } from '../harness/systemd-unit.ts';

const BUILD_ARCHIVE = fileURLToPath(new URL('../../scripts/build-archive', import.meta.url));
const UNIT = '/etc/systemd/system/peerglass.service';
const KEY = '/etc/peerglass/swarm.key';
const COPIED_KEY = '/tmp/swarm.key';
const OPTIONS = '/etc/peerglass/peerglass.env';

/**
 * The release archive on hosts without Kubernetes' help: unpacked, installed by its script, and started by the lines of
 * the unit or of the Nomad job as they stand. Neither systemd nor Nomad runs here: systemd cannot as anything but the
 * first process, and Nomad is not to be had as a package. So what is not shown is how they restart it, and of the
 * unit's sandbox the filter of system calls (compared by hand with what strace saw of this scenario) and the limits of
 * memory.
 */
suite('hosts without Kubernetes', () => {
  let cluster: HostCluster;
  let archive: string;

  before(async () => {
    const output = join(runDirectory(), 'archive');
    const { os, architecture } = hostPlatform();
    const words = ['--platform', `${os}/${architecture}`, '--output', output];
    archive = (await execute([BUILD_ARCHIVE, ...words])).trim();
    await execute(['sha256sum', '--check', `${archive}.sha256`], { cwd: output });
    cluster = await HostCluster.start([
      { suite: 'bookworm', layout: 'plain' },
      { suite: 'forky', layout: 'k3s' },
    ]);
  });
  after(async () => {
    await cluster[Symbol.asyncDispose]();
  });

  /**
   * Installs as docs/HOSTS.md describes it. Every host gets the addresses of all hosts, its own included, and the others the
   * key that the first one has made.
   */
  async function install(host: HostSystem, ...options: readonly string[]): Promise<string> {
    await execute(['mkdir', '-p', join(host.node.host.directory, 'system/root/tmp/archive')]);
    const target = join(host.node.host.directory, 'system/root/tmp/archive');
    await execute(['tar', '-xzf', archive, '--strip-components=1', '-C', target]);
    const peers = cluster.hosts.map(({ node }) => node.host.address).join(',');
    const [first] = cluster.hosts;
    const key = host === first ? undefined : first?.read(KEY);
    if (key !== undefined) await host.write(COPIED_KEY, key);
    const taken = key === undefined ? [] : ['--swarm-key', COPIED_KEY];
    return host.execute('/tmp/archive/install', '--bootstrap', peers, ...taken, ...options);
  }

  scenario(
    'the service pulls from its peers, and its removal restores the host',
    () => cluster,
    async ({ hosts }) => {
      const [plain, k3s] = hosts;
      assert.ok(plain !== undefined && k3s !== undefined);
      const before = await Promise.all(hosts.map((host) => host.snapshot()));
      await assert.rejects(install(k3s), /but one of k3s or RKE2: add --k3s/);
      await install(plain);
      await install(k3s, '--k3s');
      await using running = new AsyncDisposableStack();
      const agents = hosts.map((host) => {
        const unit = parseUnit(host.read(UNIT) ?? '');
        return { host, agent: running.use(host.startService('agent', unit)) };
      });
      for (const { host, agent } of agents) await untilReady(host, agent);

      for (const [holder, receiver] of [
        [plain, k3s],
        [k3s, plain],
      ] as const) {
        const { image, archive: tar } = await makeImage({
          name: `${REGISTRY}/${holder.node.host.name}/app:1.0`,
          layers: [{ bytes: 3_000_000 }],
        });
        await holder.node.importArchive(tar);
        await waitUntilVisible(mirrorOf(receiver), image);
        await receiver.node.pullWithCri(image.name);
        await assertHoldsImage(receiver.node, image);
      }

      for (const { host, agent } of agents) {
        const status = await readFile(`/proc/${agent.pid}/status`, 'utf8');
        assert.match(status, /^CapBnd:\s0+$/m);
        assert.match(status, /^NoNewPrivs:\s1$/m);
        assert.deepEqual(await failures(host), ['config-path'], 'it is in the folder of the test');
        // Again, as for a new version: what the administrator has written since stays.
        await host.write(OPTIONS, `${host.read(OPTIONS) ?? ''}LOG_LEVEL=WARN\n`);
        const kept = host.read(OPTIONS);
        await install(host, ...(host === k3s ? ['--k3s'] : []));
        assert.equal(host.read(OPTIONS), kept);
        assert.deepEqual(await agent.stop(), { code: 0, signal: null });
        await host.execute('/usr/local/lib/peerglass/install', '--uninstall');
      }
      const left = await Promise.all(hosts.map((host) => host.snapshot()));
      assert.deepEqual(left, before);
    },
  );

  scenario(
    'the Nomad job runs the command that the script installs',
    () => cluster,
    async ({ hosts }) => {
      const text = await readFile(
        new URL('../../scripts/deploy/peerglass.nomad.json', import.meta.url),
        'utf8',
      );
      const [task] = (JSON.parse(text) as NomadJob).Job.TaskGroups[0].Tasks;
      const before = await Promise.all(hosts.map((host) => host.snapshot()));
      await using running = new AsyncDisposableStack();
      const agents = [];
      for (const [index, host] of hosts.entries()) {
        await install(host, '--no-start', ...(index === 1 ? ['--k3s'] : []));
        const command = [task.Config.command, ...task.Config.args];
        agents.push({ host, agent: running.use(host.start('agent', command, task.Env)) });
      }
      for (const { host, agent } of agents) await untilReady(host, agent);
      const [holder, receiver] = hosts;
      assert.ok(holder !== undefined && receiver !== undefined);
      const fixture = await makeImage({ name: `${REGISTRY}/nomad:1.0`, layers: [{}] });
      await holder.node.importArchive(fixture.archive);
      await waitUntilVisible(mirrorOf(receiver), fixture.image);
      await receiver.node.pullWithCri(fixture.image.name);
      for (const { host, agent } of agents) {
        agent.signal(task.KillSignal);
        await agent.exited;
        await host.execute('/usr/local/lib/peerglass/install', '--uninstall');
      }
      const left = await Promise.all(hosts.map((host) => host.snapshot()));
      assert.deepEqual(left, before);
    },
  );

  const analyze = spawnSync('systemd-analyze', ['--version']).status === 0;
  scenario(
    'systemd-analyze accepts the unit, and rates its exposure as low',
    () => cluster,
    async ({ hosts: [host] }, t) => {
      if (!analyze) {
        t.skip('there is no systemd-analyze on this machine');
        return;
      }
      assert.ok(host !== undefined);
      await install(host);
      // It succeeds with warnings too, so its output must be empty.
      const verify = `systemd-analyze verify ${UNIT} 2>&1 | grep -F peerglass || true`;
      assert.equal(await host.execute('sh', '-c', verify), '');
      const words = ['--offline=true', '--threshold=35', '--no-pager'];
      await host.execute('systemd-analyze', 'security', ...words, UNIT);
      await host.execute('/usr/local/lib/peerglass/install', '--uninstall');
    },
  );
});

/** What `peerglass doctor` on the host finds broken. */
async function failures(host: HostSystem): Promise<string[]> {
  // It ends with 1 when there is something.
  const text = await host.execute('sh', '-c', 'peerglass doctor --output json || true');
  const { checks } = JSON.parse(text) as { checks: { id: string; outcome: string }[] };
  return checks.filter(({ outcome }) => outcome === 'failure').map(({ id }) => id);
}

/** What is read of a job in Nomad's JSON. */
interface NomadJob {
  readonly Job: {
    readonly TaskGroups: readonly [
      {
        readonly Tasks: readonly [
          {
            readonly Config: { readonly command: string; readonly args: readonly string[] };
            readonly Env: Readonly<Record<string, string>>;
            readonly KillSignal: NodeJS.Signals;
          },
        ];
      },
    ];
  };
}
