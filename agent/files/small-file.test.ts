import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';

import { fileProblem, readSmallFile, readSmallText, UnsuitableFileError } from './small-file.ts';

const LIMIT = 1000;

function makeFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'small-file-'));
  t.after(() => {
    rmSync(folder, { recursive: true });
  });
  return folder;
}

describe('readSmallFile', () => {
  for (const size of [0, 1, LIMIT]) {
    it(`reads a file of ${size} bytes`, async (t) => {
      const path = join(makeFolder(t), 'file');
      const bytes = Buffer.alloc(size, 'ab');
      writeFileSync(path, bytes);
      assert.deepEqual(await readSmallFile(path, LIMIT), bytes);
    });
  }

  it('reads a file of several chunks', async (t) => {
    const path = join(makeFolder(t), 'file');
    const text = 'äöü\n'.repeat(50_000);
    writeFileSync(path, text);
    assert.equal(await readSmallText(path), text);
  });

  it('refuses a larger file', async (t) => {
    const path = join(makeFolder(t), 'file');
    writeFileSync(path, Buffer.alloc(LIMIT + 1));
    await assert.rejects(readSmallFile(path, LIMIT), {
      code: 'ERR_FILE_TOO_LARGE',
      message: '1001 bytes, above the limit of 1000',
    });
  });

  it('reads a file whose size the file system does not say, up to the bound', async () => {
    assert.match(await readSmallText('/proc/self/status'), /^Name:/);
    await assert.rejects(readSmallFile('/proc/self/status', 10), UnsuitableFileError);
  });

  it('refuses a folder, a pipe and a device, and waits for none of them', async (t) => {
    const folder = makeFolder(t);
    const pipe = join(folder, 'pipe');
    assert.equal(spawnSync('mkfifo', [pipe]).status, 0);
    await assert.rejects(readSmallFile(folder, LIMIT), { code: 'EISDIR' });
    for (const path of [pipe, '/dev/zero']) {
      await assert.rejects(readSmallFile(path, LIMIT), { code: 'ERR_NO_REGULAR_FILE' });
    }
  });

  it('fails with the code of the system for a missing file', async () => {
    await assert.rejects(readSmallFile('/nowhere/file', LIMIT), { code: 'ENOENT' });
  });
});

describe('fileProblem', () => {
  it('says what is wrong and what to do, in the words of who reads where there are some', async (t) => {
    const error = await readSmallFile(makeFolder(t), LIMIT).catch((reason: unknown) => reason);
    assert.match(fileProblem(error), /is a folder; name the file/);
    assert.equal(fileProblem(error, { EISDIR: 'is none' }), 'is none');
    assert.match(
      fileProblem(Object.assign(new Error(), { code: 'EIO' })),
      /\(EIO\); look at the disk/,
    );
  });
});
