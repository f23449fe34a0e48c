import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';

import { pino } from 'pino';

import { fileTree } from '../../testing/file-tree.ts';
import { nodeFileOperations, type FileOperations } from '../file-operations.ts';
import { lockFolder } from '../folder-lock.ts';
import { HostsConfigurator } from '../hosts-configurator.ts';
import { HostsConfigError } from '../hosts-error.ts';
import { parseHostsToml, type RegistryHosts } from '../hosts-toml.ts';

const MIRROR = { url: 'http://127.0.0.1:5000', capabilities: ['pull'] } as const;
const WANTED: readonly RegistryHosts[] = ['_default', 'docker.io', 'ghcr.io'].map((registry) => ({
  registry,
  file: { hosts: [MIRROR] },
}));
const THEIRS = '# theirs\n[host."https://cache.example"]\n';
const never = new AbortController().signal;
const skip = process.getuid?.() === 0 ? false : 'needs root, to mount file systems';

let parent: string;
let root: string;
const mounted: string[] = [];
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'peerglass-hosts-'));
  root = join(parent, 'certs.d');
  mkdirSync(join(root, 'docker.io'), { recursive: true });
  writeFileSync(join(root, 'docker.io/hosts.toml'), THEIRS);
});
afterEach(() => {
  for (const path of mounted.splice(0)) execFileSync('umount', [path]);
  rmSync(parent, { recursive: true });
});

function mount(...args: readonly string[]): void {
  execFileSync('mount', args);
  mounted.push(root);
}

const configurator = (): HostsConfigurator =>
  new HostsConfigurator(
    { files: nodeFileOperations, logger: pino({ level: 'silent' }) },
    { path: root },
  );

async function refuses(run: Promise<unknown>, message: RegExp): Promise<void> {
  const before = fileTree(root);
  await assert.rejects(run, (error) => {
    assert.ok(error instanceof HostsConfigError, String(error));
    assert.match(error.message, message);
    return true;
  });
  assert.deepEqual(fileTree(root), before);
}

describe('HostsConfigurator on a faulty file system', () => {
  it('changes nothing on a full disk, and succeeds when there is space', { skip }, async () => {
    mount('-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', root);
    mkdirSync(join(root, 'docker.io'));
    writeFileSync(join(root, 'docker.io/hosts.toml'), THEIRS);
    const before = fileTree(root);
    // Space for none of the files, then for some: prepared files must be removed again.
    for (const pages of [0, 1, 2]) {
      const { bavail, bsize } = statfsSync(root);
      writeFileSync(join(root, 'ballast'), Buffer.alloc((bavail - pages) * bsize));
      const run = configurator().configure(WANTED, { prependExisting: false }, never);
      await refuses(run, /no space left/);
      rmSync(join(root, 'ballast'));
      assert.deepEqual(fileTree(root), before);
    }
    await configurator().configure(WANTED, { prependExisting: false }, never);
    await configurator().cleanup(never);
    assert.deepEqual(fileTree(root), before);
  });

  it('restores the previous files on a full disk', { skip }, async () => {
    mount('-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', root);
    mkdirSync(join(root, 'docker.io'));
    writeFileSync(join(root, 'docker.io/hosts.toml'), THEIRS);
    const before = fileTree(root);
    await configurator().configure(WANTED, { prependExisting: false }, never);
    const { bavail, bsize } = statfsSync(root);
    writeFileSync(join(root, 'ballast'), Buffer.alloc(bavail * bsize));
    await configurator().cleanup(never);
    rmSync(join(root, 'ballast'));
    assert.deepEqual(fileTree(root), before);
  });

  it('restores all other files when one cannot be restored, and names that one', async () => {
    const before = fileTree(root);
    await configurator().configure(WANTED, { prependExisting: false }, never);
    const fixed = join(root, 'docker.io/hosts.toml');
    const files: FileOperations = {
      ...nodeFileOperations,
      // As for a file with the immutable attribute.
      async rename(from, to) {
        if (to !== fixed) return nodeFileOperations.rename(from, to);
        throw Object.assign(new Error('EPERM'), { code: 'EPERM', syscall: 'rename', path: to });
      },
    };
    const logger = pino({ level: 'silent' });
    const restricted = new HostsConfigurator({ files, logger }, { path: root });
    await assert.rejects(restricted.cleanup(never), (error: Error) => {
      assert.ok(error.message.includes(`${fixed}: not permitted`), error.message);
      return true;
    });
    assert.deepEqual(readdirSync(root), ['docker.io']);
    await configurator().cleanup(never);
    assert.deepEqual(fileTree(root), before);
  });

  it('reports a read-only file system', { skip }, async () => {
    await configurator().configure(WANTED.slice(1), { prependExisting: false }, never);
    mount('--bind', root, root);
    execFileSync('mount', ['-o', 'remount,bind,ro', root]);
    await refuses(
      configurator().configure(WANTED, { prependExisting: false }, never),
      /certs\.d: the file system is read-only/,
    );
    await refuses(configurator().cleanup(never), /read-only/);
    const same = await configurator().configure(WANTED.slice(1), { prependExisting: false }, never);
    assert.deepEqual(same.written, [], 'files that are as wanted need no write');
  });
});

describe('HostsConfigurator in several processes', () => {
  it('waits for another process, and is refused if that does not end', async () => {
    const held = await lockFolder(root, {}, never);
    const impatient = new HostsConfigurator(
      { files: nodeFileOperations, logger: pino({ level: 'silent' }) },
      { path: root, lock: { waitMs: 50 } },
    );
    const run = impatient.configure(WANTED, { prependExisting: false }, never);
    await refuses(run, /another process is configuring/);
    await refuses(impatient.cleanup(never), /another process is configuring/);
    const waiting = configurator().configure(WANTED, { prependExisting: false }, never);
    await held[Symbol.asyncDispose]();
    assert.equal((await waiting).written.length, WANTED.length);
  });

  it('succeeds for all that want the same files', async () => {
    const before = fileTree(root);
    for (let round = 0; round < 5; round++) {
      await Promise.all(
        [1, 2, 3].map(() => configurator().configure(WANTED, { prependExisting: true }, never)),
      );
      const tree = fileTree(root);
      for (const { registry } of WANTED) {
        assert.match(tree[`${registry}/hosts.toml`] ?? '', /# peerglass/);
      }
      await Promise.all([1, 2, 3].map(() => configurator().cleanup(never)));
      assert.deepEqual(fileTree(root), before);
    }
  });
});

describe('HostsConfigurator in processes that are killed', () => {
  it(
    'leaves whole files at every moment, and cleanup restores the previous ones',
    { timeout: 300_000 },
    async () => {
      const before = fileTree(root);
      const program = [
        `import { pino } from 'pino';`,
        `import { nodeFileOperations } from ${JSON.stringify(join(import.meta.dirname, '../file-operations.ts'))};`,
        `import { HostsConfigurator } from ${JSON.stringify(join(import.meta.dirname, '../hosts-configurator.ts'))};`,
        `const it = new HostsConfigurator({ files: nodeFileOperations, logger: pino({ level: 'silent' }) }, { path: ${JSON.stringify(root)} });`,
        `const signal = new AbortController().signal;`,
        `console.log('started');`,
        `for (let turn = 0; ; turn++) {`,
        `  await it.configure(${JSON.stringify(WANTED)}, { prependExisting: turn % 2 === 0 }, signal);`,
        `  if (turn % 3 === 2) await it.cleanup(signal);`,
        `}`,
      ].join('\n');
      for (let round = 0; round < 6; round++) {
        // Two at a time, like two agents.
        const children = [0, 1].map(() =>
          spawn(process.execPath, ['--input-type=module', '-e', program], {
            stdio: ['ignore', 'pipe', 'inherit'],
            cwd: import.meta.dirname,
          }),
        );
        await Promise.all(children.map(({ stdout }) => once(stdout, 'data')));
        await new Promise((resolve) => setTimeout(resolve, 50 + Math.random() * 200));
        const ended = children.map((child) => once(child, 'exit'));
        for (const child of children) assert.ok(child.kill('SIGKILL'), 'it ran until then');
        await Promise.all(ended);
        const text = fileTree(root)['docker.io/hosts.toml']?.replace(/^file \S+ \S+ /, '');
        assert.ok(text !== undefined, 'the file exists');
        assert.ok(text === THEIRS || text.startsWith('# peerglass'));
        assert.doesNotThrow(() => parseHostsToml(text));
        await configurator().cleanup(never);
        assert.deepEqual(fileTree(root), before);
      }
      assert.deepEqual(readdirSync(parent), ['certs.d']);
    },
  );
});

it('HostsConfigurator.cleanup keeps the folder of all registries if it became a mount point', async (t) => {
  const parent = mkdtempSync(join(tmpdir(), 'peerglass-mount-'));
  t.after(() => {
    rmSync(parent, { recursive: true });
  });
  const path = join(parent, 'certs.d');
  const logger = pino({ level: 'silent' });
  const files: FileOperations = {
    ...nodeFileOperations,
    rename: async (from, to) => {
      // As the kernel does for a mount point.
      if (from === path) throw Object.assign(new Error('EBUSY'), { code: 'EBUSY' });
      await nodeFileOperations.rename(from, to);
    },
  };
  const configurator = new HostsConfigurator({ files, logger }, { path });
  const wanted = [{ registry: '_default', file: { hosts: [] } }];
  await configurator.configure(wanted, { prependExisting: false }, never);
  const { restored } = await configurator.cleanup(never);
  assert.equal(restored.length, 1);
  assert.deepEqual(readdirSync(path), [], 'no file of peerglass is left');
});
