import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { forgetData } from './forget-data.ts';

describe('forgetData', () => {
  let parent: string;
  let folder: string;
  before(() => {
    parent = mkdtempSync(join(tmpdir(), 'peerglass-forget-'));
    folder = join(parent, 'data');
  });
  after(() => {
    rmSync(parent, { recursive: true });
  });

  it('removes the files of an agent, and the folder that is empty then', async () => {
    mkdirSync(folder);
    const replaced = ['private.key.replaced', 'private.key.replaced.2'];
    const temporary = ['private.key.0a1b.tmp', 'verdicts.tmp'];
    for (const name of ['private.key', 'verdicts', ...replaced, ...temporary]) {
      writeFileSync(join(folder, name), '');
    }
    assert.equal(await forgetData(folder), true);
    assert.deepEqual(readdirSync(parent), []);
  });

  it('leaves files of other programs, and the folder around them', async () => {
    mkdirSync(folder);
    for (const name of ['private.key', 'private.key.bak', 'verdicts.json']) {
      writeFileSync(join(folder, name), '');
    }
    assert.equal(await forgetData(folder), false);
    assert.deepEqual(readdirSync(folder), ['private.key.bak', 'verdicts.json']);
    rmSync(folder, { recursive: true });
  });

  it('has nothing to do where the folder does not exist, and fails where it is a file', async () => {
    assert.equal(await forgetData(folder), true);
    writeFileSync(folder, '');
    await assert.rejects(forgetData(folder), { code: 'ENOTDIR' });
  });
});
