import assert from 'node:assert/strict';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { after, before, suite } from 'node:test';

import { remedyScript } from '../../agent/testing/remedy-script.ts';
import { PORTS, PROGRAM } from '../harness/agent-process.ts';
import { Cluster, type ClusterNode } from '../harness/cluster.ts';
import { SUITES, type Suite } from '../harness/containerd-versions.ts';
import { examine, followImage, type DoctorFinding } from '../harness/doctor.ts';
import { makeImage, REGISTRY } from '../harness/fixtures.ts';
import { scenario } from '../harness/scenario.ts';
import { waitFor } from '../harness/wait.ts';

const MIRROR = `[host.'http://127.0.0.1:${PORTS.registry}']\n`;
const CACHE = "[host.'https://cache.example']\ncapabilities = ['pull']\n";
const PROXY = { HTTP_PROXY: 'http://10.214.0.250:3128' };

/** A misconfiguration. */
interface Row {
  /** What was done. */
  readonly what: string;
  /** On the node with this containerd. */
  readonly on: Suite;
  /** Files below certs.d; an empty text makes a folder. None: only `_default`, as `configuration` writes it. */
  readonly files?: Readonly<Record<string, string>>;
  /** Whatever else it takes. */
  readonly make?: (node: ClusterNode) => Promise<void>;
  /** Flags of the doctor. */
  readonly flags?: (node: ClusterNode) => readonly string[];
  /** The checks that must find something, and no others among those of hosts.toml. */
  readonly says: Readonly<Record<string, RegExp>>;
  /** Does what the remedy says, when that is not a command of ours. */
  readonly follow?: (node: ClusterNode, remedy: string) => Promise<void>;
  /** Undoes what `make` and `follow` did. */
  readonly undo?: (node: ClusterNode) => Promise<void>;
}

const TABLE: readonly Row[] = [
  {
    what: 'a pull-through cache for docker.io beside _default',
    on: 'forky',
    files: { 'docker.io/hosts.toml': CACHE },
    says: { 'hosts-hidden': /docker\.io\/hosts\.toml/ },
  },
  {
    what: 'a folder of certificates for quay.io',
    on: 'trixie',
    files: { 'quay.io/ca.crt': 'none' },
    says: { 'hosts-hidden': /quay\.io\/hosts\.toml \(no valid file\)/ },
  },
  {
    what: 'a cache on loopback for docker.io',
    on: 'bookworm',
    files: { 'docker.io/hosts.toml': "[host.'http://127.0.0.1:8080']\n" },
    says: { 'hosts-hidden': /docker\.io\/hosts\.toml/ },
  },
  {
    what: 'a cache before the mirror',
    on: 'forky',
    files: { 'docker.io/hosts.toml': CACHE + MIRROR },
    says: { 'hosts-file': /other hosts come before/ },
  },
  {
    what: 'no hosts.toml that names the mirror',
    on: 'bookworm',
    files: { '_default/hosts.toml': CACHE, 'ghcr.io': '' },
    says: { 'hosts-file': /_default/, 'hosts-hidden': /ghcr\.io/ },
  },
  {
    what: 'a mirror at another port than that of the agent',
    on: 'trixie',
    files: { '_default/hosts.toml': "[host.'http://127.0.0.1:5999']\n" },
    says: { 'hosts-file': /names no mirror/ },
  },
  {
    what: 'an IPv6 address, for containerd 1.7',
    on: 'trixie',
    files: { 'docker.io/hosts.toml': "[host.'http://[fd88::2]:5000']\n" },
    says: { 'hosts-valid': /docker\.io\/hosts\.toml: line 1: .*IPv6/ },
  },
  {
    what: 'a byte order mark, for containerd 2.1',
    on: 'forky',
    files: { 'docker.io/hosts.toml': `\uFEFF${MIRROR}` },
    says: { 'hosts-valid': /docker\.io\/hosts\.toml: line 1: .*byte order mark/ },
  },
  {
    what: 'a mirror in an inline table, for containerd 2.1',
    on: 'forky',
    files: { '_default/hosts.toml': `[host]\n'http://127.0.0.1:${PORTS.registry}' = {}\n` },
    says: { 'hosts-valid': /table of their own.*_default\/hosts\.toml/ },
  },
  {
    what: 'an agent that shares a namespace which does not exist',
    on: 'bookworm',
    make: ({ agent }) => agent.restart({ flags: ['--containerd-namespace', 'k8s-io'] }),
    says: { 'image-namespace': /namespace k8s-io.*does not exist/ },
    follow: async ({ agent }, remedy) => {
      const [, flags = ''] = /^peerglass registry (.*)$/m.exec(remedy) ?? [];
      await agent.restart({ flags: flags.split(' ') });
    },
    undo: ({ agent }) => agent.restart({}),
  },
  {
    what: "a proxy in containerd's environment, with the mirror at the address of the node",
    on: 'trixie',
    files: { '_default/hosts.toml': '' },
    make: async ({ host, containerd }) => {
      const text = `[host.'http://${host.address}:${PORTS.registry}']\n`;
      await writeFile(join(containerd.certsDir, '_default/hosts.toml'), text);
      await containerd.restart(PROXY);
    },
    flags: ({ host }) => ['--mirror-targets', `http://${host.address}:${PORTS.registry}`],
    says: { 'mirror-proxy': /through http:\/\/10\.214\.0\.250:3128/ },
    follow: async ({ containerd }, remedy) => {
      const [, noProxy = ''] = /^Environment=NO_PROXY=(.*)$/m.exec(remedy) ?? [];
      await containerd.restart({ ...PROXY, NO_PROXY: noProxy });
    },
    undo: ({ containerd }) => containerd.restart(),
  },
];

/** Checks that the table is about. */
const CHECKED =
  /^(hosts-(file|hidden|valid|server)|mirror-(port|proxy)|image-namespace|agent-socket)$/;

async function findings(node: ClusterNode, row: Row): Promise<DoctorFinding[]> {
  const { all } = await examine(node, row.flags?.(node));
  return all.filter(
    ({ id, outcome }) => CHECKED.test(id) && (outcome === 'failure' || outcome === 'warning'),
  );
}

/** Runs what a person would copy, in a shell on the node. */
async function runCommand(node: ClusterNode, finding: DoctorFinding): Promise<void> {
  await node.host.execute(['sh', '-ec', remedyScript(finding, PROGRAM)]);
}

suite('what the doctor says to do', () => {
  let cluster: Cluster;

  before(async () => {
    cluster = await Cluster.start(SUITES.map((name) => ({ suite: name })));
  });
  after(async () => {
    await cluster[Symbol.asyncDispose]();
  });

  for (const row of TABLE) {
    scenario(
      `ends it: ${row.what}`,
      () => cluster,
      async (_cluster, t) => {
        const node = cluster.node(row.on);
        const { certsDir } = node.containerd;
        const { archive } = await makeImage({ name: `${REGISTRY}/doctor/remedies:1.0` });
        await node.containerd.importArchive(archive);
        t.after(async () => {
          await row.undo?.(node);
          await configure(node);
        });
        await configure(node);
        for (const [name, text] of Object.entries(row.files ?? {})) {
          const folder = text === '' && !name.endsWith('.toml');
          await mkdir(join(certsDir, folder ? name : dirname(name)), { recursive: true });
          if (!folder) await writeFile(join(certsDir, name), text);
        }
        await row.make?.(node);
        let found = await findings(node, row);
        assert.deepEqual(
          found.map(({ id }) => id),
          Object.keys(row.says),
          JSON.stringify(found, undefined, 1),
        );
        for (const { id, reason, details = [] } of found) {
          assert.match([reason, ...details].join(' '), row.says[id] ?? /never/);
        }
        for (let [next] = found; next !== undefined; [next] = found) {
          const before = found.length;
          if (row.follow === undefined) await runCommand(node, next);
          else await row.follow(node, next.remedy ?? '');
          await waitFor('the agent has listed its images', async () => {
            const { all } = await examine(node, row.flags?.(node));
            return all.every(({ id, outcome }) => id !== 'agent' || outcome === 'ok');
          });
          found = await findings(node, row);
          assert.ok(found.length < before, JSON.stringify(found, undefined, 1));
        }
      },
    );
  }

  scenario(
    'says that containerd will not ask the mirror for an image that the mirror has',
    () => cluster,
    async (_cluster, t) => {
      const node = cluster.node('forky');
      const name = 'docker.io/library/app:1.0';
      const { archive } = await makeImage({ name });
      await node.containerd.importArchive(archive);
      t.after(() => configure(node));
      await configure(node);
      await mkdir(join(node.containerd.certsDir, 'docker.io'));
      await writeFile(join(node.containerd.certsDir, 'docker.io/hosts.toml'), CACHE);
      await waitFor('the mirror has it', async () => {
        const { parts } = await followImage(node, name);
        return parts.length > 1 && parts.every(({ servedBy }) => servedBy === 'local');
      });
      const { code, reason } = await followImage(node, name);
      assert.equal(code, 1);
      assert.match(reason, /containerd will not ask the mirror for images of docker\.io/);
      const [hidden] = (await examine(node)).findings.filter(({ id }) => id === 'hosts-hidden');
      assert.ok(hidden !== undefined);
      await runCommand(node, hidden);
      assert.equal((await followImage(node, name)).code, 0);
    },
  );
});

/** Writes `_default` as `configuration` does, into an empty folder. */
async function configure({ host, containerd }: ClusterNode): Promise<void> {
  await rm(containerd.certsDir, { recursive: true, force: true });
  await host.execute([
    ...([process.execPath, PROGRAM, 'configuration'] as const),
    ...['--mirror-targets', `http://127.0.0.1:${PORTS.registry}`],
    ...['--containerd-registry-config-path', containerd.certsDir],
  ]);
}
