import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { test } from 'node:test';

import packageJson from '../../package.json' with { type: 'json' };
import { missing, TOOLS } from '../chart/tools.ts';
import { runCommand } from '../system/command.ts';
import { packageChart } from './chart-package.ts';

const root = join(import.meta.dirname, '../..');
const init = { root, helm: TOOLS.helm };

test(
  'packageChart makes the image of the release the default of the chart',
  { skip: missing('helm') ?? false },
  async (t) => {
    const output = await mkdtemp(join(tmpdir(), 'peerglass-package-'));
    t.after(() => rm(output, { recursive: true }));
    const image = 'registry.example/owner/peerglass';
    const archive = await packageChart({ ...init, image, output });
    assert.equal(basename(archive), `peerglass-${packageJson.version}.tgz`);
    // Also in place of Spegel's image, which a values file of Spegel's names.
    for (const values of [[], ['--set', 'image.repository=ghcr.io/spegel-org/spegel']]) {
      const rendered = await runCommand([
        ...([TOOLS.helm, 'template', 'test', archive, '--kube-version', '1.34'] as const),
        ...values,
      ]);
      const found = [...rendered.matchAll(/^ +image: "?([^"\n]+)/gm)].map(([, it]) => it);
      assert.deepEqual([...new Set(found)], [`${image}:${packageJson.version}`]);
    }
  },
);

test('packageChart refuses a name that is not a repository', async () => {
  for (const image of ['ghcr.io/Owner/peerglass', 'peerglass', 'ghcr.io/o/p:1.0', 'https://a/b']) {
    await assert.rejects(packageChart({ ...init, image, output: '' }), /not the repository/, image);
  }
});
