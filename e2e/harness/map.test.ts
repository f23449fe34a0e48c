import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';

const root = join(import.meta.dirname, '../..');
const page = readFileSync(join(import.meta.dirname, 'README.md'), 'utf8');
const mapped = [...page.matchAll(/^\| `([a-z0-9./-]+\.ts)` \|/gm)].map(([, file = '']) => file);

describe('the map of the harness', () => {
  it('has each file of the folder in one row, and no file that does not exist', () => {
    const files = globSync('**/*.ts', { cwd: import.meta.dirname });
    assert.deepEqual(mapped.toSorted(), files.filter((file) => file !== 'map.test.ts').sort());
  });

  it('names no file in its prose that does not exist', () => {
    for (const [, file = ''] of page.matchAll(/`((?:[a-z0-9-]+\/)*[a-z0-9.-]+\.(?:ts|md))`/g)) {
      const places = [import.meta.dirname, root].map((folder) => join(folder, file));
      assert.ok(places.some(existsSync), file);
    }
  });
});

describe('e2e/README.md', () => {
  it('has a row for each scenario', () => {
    const readme = readFileSync(join(root, 'e2e/README.md'), 'utf8');
    for (const file of globSync('e2e/scenarios/*.e2e.ts', { cwd: root })) {
      assert.ok(readme.includes(`| \`${file.slice('e2e/'.length)}\` |`), file);
    }
  });
});

describe('the map of the benches', () => {
  const bench = join(root, 'e2e/bench');
  const text = readFileSync(join(bench, 'README.md'), 'utf8');

  it('has a row for each file and each folder', () => {
    const rows = [...text.matchAll(/^\| `([a-z0-9.-]+(?:\.ts|\/))` \|/gm)].map(
      ([, name = '']) => name,
    );
    const entries = readdirSync(bench, { withFileTypes: true })
      .filter(({ name }) => name !== 'README.md')
      .map((entry) => (entry.isDirectory() ? `${entry.name}/` : entry.name));
    assert.deepEqual(rows.sort(), entries.sort());
  });

  it('names only files that exist', () => {
    for (const [, file = ''] of text.matchAll(/`((?:[a-z0-9-]+\/)*[a-z0-9.-]+\.ts)`/g)) {
      assert.ok(existsSync(join(bench, file)), file);
    }
  });
});
