import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { test, type TestContext } from 'node:test';
import { gzipSync } from 'node:zlib';

import { pack } from 'tar-stream';

import { readNpmPackage } from './npm-package.ts';

const NAME = 'node-elsewhere';

/** A project whose lockfile has {@link NAME}, and a registry that serves it. */
async function project(t: TestContext, integrity?: string): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), 'peerglass-npm-'));
  t.after(() => rm(root, { recursive: true }));
  const tar = pack();
  tar.entry({ name: 'package/package.json' }, JSON.stringify({ name: NAME, version: '1.2.3' }));
  tar.entry({ name: 'package/bin/node' }, 'a program');
  tar.finalize();
  const archive = gzipSync(await buffer(tar));
  const actual = `sha512-${createHash('sha512').update(archive).digest('base64')}`;
  const registry = createServer((request, response) => {
    if (request.url === '/archive.tgz') {
      response.end(archive);
      return;
    }
    const tarball = `http://127.0.0.1:${port}/archive.tgz`;
    const version = {
      name: NAME,
      version: '1.2.3',
      dist: { tarball, integrity: actual },
    };
    response.end(
      JSON.stringify({
        name: NAME,
        'dist-tags': { latest: '1.2.3' },
        versions: { '1.2.3': version },
      }),
    );
  }).listen(0, '127.0.0.1');
  await once(registry, 'listening');
  const { port } = registry.address() as AddressInfo;
  t.after(() => {
    registry.closeAllConnections();
    registry.close();
  });
  const locked = { version: '1.2.3', integrity: integrity ?? actual };
  await writeFile(
    join(root, 'package-lock.json'),
    JSON.stringify({ packages: { [`node_modules/${NAME}`]: locked } }),
  );
  await writeFile(
    join(root, '.npmrc'),
    `registry=http://127.0.0.1:${port}/\ncache=${join(root, 'npm-cache')}\nfetch-retries=0\n`,
  );
  await writeFile(join(root, 'package.json'), '{}');
  return root;
}

test('readNpmPackage fetches and verifies a package that is not installed', async (t) => {
  const root = await project(t);
  const files = await readNpmPackage(root, NAME, ['bin/node'], join(root, 'cache'));
  assert.equal(files.get('bin/node')?.toString(), 'a program');
});

test('readNpmPackage refuses an archive that differs from the lockfile', async (t) => {
  const root = await project(t, 'sha512-AAAA');
  await assert.rejects(
    readNpmPackage(root, NAME, ['bin/node'], join(root, 'cache')),
    /package-lock.json says sha512-AAAA/,
  );
});

test('readNpmPackage reads an installed package from node_modules', async (t) => {
  const root = await project(t);
  const folder = join(root, 'node_modules', NAME);
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'package.json'), '{}');
  await writeFile(join(folder, 'LICENSE'), 'installed');
  const files = await readNpmPackage(root, NAME, ['LICENSE'], join(root, 'cache'));
  assert.equal(files.get('LICENSE')?.toString(), 'installed');
});
