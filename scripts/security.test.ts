import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';

const root = join(import.meta.dirname, '..');
const page = readFileSync(join(root, 'docs/SECURITY.md'), 'utf8');

/** What stands between backticks and has a folder. */
const NAMED = /`((?:[a-z0-9-]+\/)+[a-z0-9.*-]+\.ts)`/g;

const namesOf = (text: string): string[] => [...text.matchAll(NAMED)].map(([, name = '']) => name);

const isTest = (file: string): boolean => /\.(?:test|e2e)\.ts$/.test(file);

describe('docs/SECURITY.md', () => {
  it('names a test in each row of what an attacker cannot do, and only files that exist', () => {
    const rows = page
      .split('\n')
      .filter((line) => line.startsWith('| ') && !line.includes('shown by'));
    assert.ok(rows.length >= 15, `${rows.length} rows`);
    for (const row of rows) {
      const tests = namesOf(row.split('|').at(-2) ?? '');
      assert.ok(tests.length > 0, row);
      for (const test of tests) {
        const files = globSync(test, { cwd: root });
        assert.ok(files.length > 0 && files.every(isTest), `${test} in: ${row}`);
      }
    }
  });

  it('names only files that exist', () => {
    for (const name of namesOf(page)) {
      const files = ['', 'agent'].flatMap((folder) => globSync(name, { cwd: join(root, folder) }));
      assert.ok(files.length > 0, name);
    }
  });

  it('names each attack that is tested', () => {
    const named = new Set(namesOf(page));
    for (const attack of globSync('e2e/attacks/*.e2e.ts', { cwd: root })) {
      assert.ok(named.has(attack), attack);
    }
  });
});

describe('e2e/README.md', () => {
  it('has a row for each attack', () => {
    const readme = readFileSync(join(root, 'e2e/README.md'), 'utf8');
    for (const attack of globSync('e2e/attacks/*.e2e.ts', { cwd: root })) {
      assert.ok(readme.includes(`| \`${attack.slice('e2e/'.length)}\` |`), attack);
    }
  });
});
