import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import type { FileTree } from '../image/file-tree.ts';
import { runCommand } from '../system/command.ts';
import { PLATFORMS } from '../image/platform.ts';
import { archiveName, hostTree, writeArchive } from './host-archive.ts';

const root = join(import.meta.dirname, '../..');
const platform = PLATFORMS.find(({ node }) => node === process.arch);

test(
  'archives have the same bytes when they are built again, and tar and sha256sum accept them',
  { skip: platform === undefined && 'no archive is built for this architecture' },
  async (t) => {
    assert.ok(platform !== undefined);
    const output = await mkdtemp(join(tmpdir(), 'peerglass-archive-'));
    t.after(() => rm(output, { recursive: true }));
    const init = { root, cache: output, version: '1.2.3', platform };
    const [first, second] = [await hostTree(init), await hostTree(init)];
    assert.equal(await hashOf(first), await hashOf(second));

    const file = join(output, 'out/host.tar.gz');
    await writeArchive(first, file);
    await runCommand(['sha256sum', '--check', '--quiet', 'host.tar.gz.sha256'], {
      cwd: join(output, 'out'),
    });
    await runCommand(['tar', '-xzf', file, '-C', output]);
    const folder = join(output, archiveName(init));
    // The agent must run with the files of the archive alone.
    const version = await runCommand([
      join(folder, 'node'),
      join(folder, 'peerglass.mjs'),
      'version',
    ]);
    assert.match(version, /^peerglass \d/);
    assert.match(await runCommand([join(folder, 'install'), '--help']), /^Usage: /);
    const machine = await runCommand(['uname', '-m']);
    assert.equal(await readFile(join(folder, 'architecture'), 'utf8'), machine);
  },
);

async function hashOf(tree: FileTree): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of tree.toTar()) hash.update(chunk as Buffer);
  return hash.digest('hex');
}
