import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { codeOf, hasCode, isMissing, unlessMissing } from './system-error.ts';

const NOWHERE = join(import.meta.dirname, 'nowhere');

describe('codeOf', () => {
  it('returns the code of an error, and undefined for everything else', () => {
    assert.equal(codeOf(Object.assign(new Error('x'), { code: 'ENOENT' })), 'ENOENT');
    assert.equal(codeOf(new Error('x')), undefined);
    assert.equal(codeOf({ code: 'ENOENT' }), undefined);
  });
});

describe('hasCode', () => {
  it('holds for one of the codes', () => {
    const error = Object.assign(new Error('x'), { code: 'EPERM' });
    assert.ok(hasCode(error, 'EACCES', 'EPERM'));
    assert.ok(!hasCode(error, 'EACCES') && !hasCode(new Error('x'), 'undefined'));
  });
});

describe('unlessMissing', () => {
  it('resolves to undefined for a path that does not exist, or leads through a file', async () => {
    assert.equal(await unlessMissing(readFile(NOWHERE)), undefined);
    assert.equal(await unlessMissing(readFile(join(import.meta.filename, 'x'))), undefined);
  });

  it('resolves like the promise, and rejects with every other error', async () => {
    assert.equal(await unlessMissing(Promise.resolve(1)), 1);
    await assert.rejects(unlessMissing(readFile(import.meta.dirname)), { code: 'EISDIR' });
  });
});

describe('isMissing', () => {
  it('holds for a missing folder, and for a file in place of a folder', async () => {
    for (const path of [NOWHERE, import.meta.filename]) {
      await assert.rejects(readdir(path), isMissing);
    }
  });
});
