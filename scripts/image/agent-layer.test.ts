import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { agentTree } from './agent-layer.ts';
import { elfNeeds } from './elf.ts';
import { NODE_PATH } from './node-layer.ts';
import { PLATFORMS } from './platform.ts';

const root = join(import.meta.dirname, '../..');
const platform = PLATFORMS.find(({ node }) => node === process.arch);
const skip = platform === undefined && 'no image is built for this architecture';

describe('agentTree', { skip }, () => {
  it('contains the bundle with its hashbang, the native library, and the licence of every package', async (t) => {
    assert.ok(platform !== undefined);
    const cache = await mkdtemp(join(tmpdir(), 'peerglass-cache-'));
    t.after(() => rm(cache, { recursive: true }));
    const { tree, packages, native } = await agentTree(root, platform, cache);
    const bundle = tree.file('usr/lib/peerglass/peerglass.mjs')?.toString() ?? '';
    assert.ok(bundle.startsWith(`#!/${NODE_PATH}\n`));
    assert.ok(tree.paths.includes('usr/bin/peerglass'));
    assert.ok(elfNeeds(native).libraries.includes('libc.so.6'));
    const names = packages.map(({ name }) => name);
    assert.ok(names.includes('undici') && names.includes('koffi'));
    const ids = packages.map(({ name, version }) => `${name}@${version}`);
    assert.deepEqual(ids, ids.toSorted());
    const licences = tree.file('usr/share/doc/peerglass/third-party')?.toString() ?? '';
    for (const { name, version } of packages) assert.ok(licences.includes(`${name} ${version}: `));
  });
});
