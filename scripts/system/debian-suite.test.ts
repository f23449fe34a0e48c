import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { runCommand } from './command.ts';
import { debianCodename, unpackPackages } from './debian-suite.ts';

describe('debianCodename', () => {
  it('is the code name of a Debian machine, and undefined elsewhere', async () => {
    const isDebian = /^ID="?debian"?$/m.test(
      await readFile('/etc/os-release', 'utf8').catch(() => ''),
    );
    const codename = await debianCodename();
    if (isDebian) assert.match(codename ?? '', /^[a-z]+$/);
    else assert.equal(codename, undefined);
  });
});

describe('unpackPackages', () => {
  const skip = existsSync('/usr/bin/dpkg-deb') ? false : 'needs dpkg-deb';

  it('unpacks the files of packages, without their control files', { skip }, async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'peerglass-deb-'));
    t.after(() => rm(folder, { recursive: true }));
    const debs: string[] = [];
    for (const name of ['one', 'two']) {
      const source = join(folder, name);
      await mkdir(join(source, 'DEBIAN'), { recursive: true });
      const control = { Package: name, Version: '1', Architecture: 'all', Maintainer: 'test' };
      const lines = Object.entries({ ...control, Description: 'test' }).map(
        ([field, value]) => `${field}: ${value}\n`,
      );
      await writeFile(join(source, 'DEBIAN/control'), lines.join(''));
      await mkdir(join(source, 'usr'));
      await writeFile(join(source, 'usr', name), name);
      debs.push(join(folder, `${name}.deb`));
      await runCommand(['dpkg-deb', '--build', source, join(folder, `${name}.deb`)]);
    }
    const into = join(folder, 'unpacked');
    await unpackPackages(debs, into);
    assert.equal(await readFile(join(into, 'usr/one'), 'utf8'), 'one');
    assert.equal(await readFile(join(into, 'usr/two'), 'utf8'), 'two');
    assert.equal(existsSync(join(into, 'DEBIAN')), false);
  });
});
