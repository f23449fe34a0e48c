import assert from 'node:assert/strict';
import { chownSync, statSync, symlinkSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';

import { pino } from 'pino';

import { fileTree } from '../../testing/file-tree.ts';
import { DEFAULT, HUB, HostsFolder, MIRROR, THEIRS } from '../../testing/hosts-folder.ts';
import { nodeFileOperations } from '../file-operations.ts';
import { HostsConfigurator } from '../hosts-configurator.ts';

const isRoot = process.getuid?.() === 0;
const never = new AbortController().signal;

let folder: HostsFolder;
beforeEach(() => {
  folder = new HostsFolder();
});
afterEach(() => {
  folder.remove();
});

describe('the previous configuration of a registry', () => {
  it('is backed up, and restored with its content, mode, owner and time', async () => {
    const path = folder.write('docker.io/hosts.toml', THEIRS, 0o640);
    folder.write('docker.io/cache.pem', 'certificate', 0o600);
    if (isRoot) chownSync(path, 1234, 5678);
    utimesSync(path, 1_600_000_000, 1_600_000_000);
    const [before, { ino }] = [fileTree(folder.parent), statSync(path)];
    await folder.configure([DEFAULT, HUB]);
    assert.deepEqual(folder.parsed('docker.io/hosts.toml'), HUB.file);
    assert.equal(folder.read('docker.io/cache.pem'), 'certificate');
    await folder.cleanup();
    assert.deepEqual(fileTree(folder.parent), before);
    const after = statSync(path);
    assert.equal(after.mtimeMs, 1_600_000_000_000);
    assert.equal(after.ino, ino, 'the same file');
  });

  it('stays in use if it is certificates without a hosts.toml', async () => {
    for (const name of ['b.crt', 'a.crt', 'one.cert', 'one.key', 'both.cert', 'README']) {
      folder.write(`docker.io/${name}`, name);
    }
    const before = fileTree(folder.root);
    await folder.configure([HUB]);
    assert.deepEqual(folder.parsed('docker.io/hosts.toml').serverOptions, {
      ca: ['a.crt', 'b.crt'],
      client: [['both.cert'], ['one.cert', 'one.key']],
    });
    await folder.cleanup();
    assert.deepEqual(fileTree(folder.root), before);
  });

  it('is restored as a symbolic link if it was one', async () => {
    folder.write('docker.io/real.toml', THEIRS);
    symlinkSync('real.toml', join(folder.root, 'docker.io/hosts.toml'));
    const before = fileTree(folder.root);
    for (const prepend of [false, true]) {
      await folder.configure([HUB], prepend);
      assert.deepEqual(folder.parsed('docker.io/hosts.toml').hosts[0], MIRROR);
      assert.equal(folder.read('docker.io/real.toml'), THEIRS);
    }
    await folder.cleanup();
    assert.deepEqual(fileTree(folder.root), before);
  });

  it('is restored if Spegel wrote it, and the backup folder of Spegel stays', async () => {
    folder.write('_backup/docker.io/hosts.toml', THEIRS);
    folder.write(
      '_default/hosts.toml',
      "[host.'http://10.0.0.1:30020']\ncapabilities = ['pull']\n",
    );
    const before = fileTree(folder.root);
    const warnings: string[] = [];
    const logger = pino({ level: 'warn' }, { write: (line: string) => warnings.push(line) });
    const agent = new HostsConfigurator(
      { files: nodeFileOperations, logger },
      { path: folder.root },
    );
    for (let look = 0; look < 3; look++) {
      await agent.configure([DEFAULT], { prependExisting: false }, never);
    }
    assert.equal(warnings.length, 1, warnings.join(''));
    assert.match(warnings[0] ?? '', /_backup.*Spegel/);
    assert.equal(folder.read('_backup/docker.io/hosts.toml'), THEIRS);
    await folder.cleanup();
    assert.deepEqual(fileTree(folder.root), before);
  });
});
