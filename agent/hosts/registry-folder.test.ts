import assert from 'node:assert/strict';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';

import { HostsFolder } from '../testing/hosts-folder.ts';
import { HostsConfigError } from './hosts-error.ts';
import { seal } from './marker.ts';
import { isSame, listFolder, numberedBackupName, readRegistryFolder } from './registry-folder.ts';

const NAME = 'docker.io';

let folder: HostsFolder;
beforeEach(() => {
  folder = new HostsFolder();
});
afterEach(() => {
  folder.remove();
});

describe('readRegistryFolder', () => {
  it('separates the file, its backup, temporary entries and other files', async () => {
    const text = seal('x', { folder: NAME, madeFolder: true, k3s: false });
    folder.write(`${NAME}/hosts.toml`, text, 0o640);
    folder.write(`${NAME}/hosts.toml.before-peerglass`, 'theirs');
    folder.write(`${NAME}/hosts.toml.before-peerglass.1`, 'older');
    folder.write(`${NAME}/.peerglass-tmp.1`, '');
    folder.write(`${NAME}/ca.crt`, '');
    const read = await readRegistryFolder(folder.root, NAME);
    assert.equal(read.current?.origin, 'ours');
    assert.equal(read.current.madeFolder, true);
    assert.equal(read.current.owner.mode, 0o640);
    assert.equal(read.backup?.content.toString(), 'theirs');
    assert.deepEqual(read.leftovers, ['.peerglass-tmp.1']);
    assert.deepEqual(read.others.toSorted(), ['ca.crt', 'hosts.toml.before-peerglass.1']);
    assert.equal(numberedBackupName(read), 'hosts.toml.before-peerglass.2');
  });

  it('reads a missing folder as one that does not exist', async () => {
    const { exists, current } = await readRegistryFolder(folder.root, NAME);
    assert.deepEqual([exists, current], [false, undefined]);
  });

  it('follows a link within the root, and refuses one that leads out of it', async () => {
    folder.write('real.toml', 'theirs');
    mkdirSync(join(folder.root, NAME));
    symlinkSync('../real.toml', join(folder.root, NAME, 'hosts.toml'));
    const { current } = await readRegistryFolder(folder.root, NAME);
    assert.equal(current?.content.toString(), 'theirs');
    writeFileSync(join(folder.parent, 'outside'), '');
    mkdirSync(join(folder.root, 'quay.io'));
    symlinkSync('../../outside', join(folder.root, 'quay.io/hosts.toml'));
    await assert.rejects(readRegistryFolder(folder.root, 'quay.io'), /symbolic link out of/);
  });

  it('refuses a file that is too large', async () => {
    folder.write(`${NAME}/hosts.toml`, '#'.repeat(2 ** 20 + 1));
    await assert.rejects(
      readRegistryFolder(folder.root, NAME),
      /has 1048577 bytes, more than 1048576/,
    );
  });
});

describe('isSame', () => {
  it('compares content, mode and owner', () => {
    const owner = { mode: 0o644, uid: 0, gid: 0 };
    const file = (content: string, change = {}): Parameters<typeof isSame>[0] => ({
      content: Buffer.from(content),
      owner: { ...owner, ...change },
      origin: 'theirs',
      madeFolder: false,
    });
    assert.equal(isSame(file('a'), file('a')), true);
    assert.equal(isSame(undefined, undefined), true);
    for (const other of [undefined, file('b'), file('a', { mode: 0o600 }), file('a', { uid: 1 })]) {
      assert.equal(isSame(file('a'), other), false);
    }
  });
});

describe('listFolder', () => {
  it('refuses a folder with more than 10,000 entries', async () => {
    for (let index = 0; index <= 10_000; index++) {
      writeFileSync(join(folder.root, String(index)), '');
    }
    await assert.rejects(listFolder(folder.root), HostsConfigError);
  });
});
