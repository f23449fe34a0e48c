import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { appendFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { hashFile } from './file-hash.ts';

const BYTES = randomBytes(3_000_000);
const NEVER = new AbortController().signal;

describe('hashFile', () => {
  let folder = '';
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'peerglass-hash-'));
  });
  after(() => rm(folder, { recursive: true }));

  const put = async (name: string, bytes: Buffer): Promise<string> => {
    const path = join(folder, name);
    await writeFile(path, bytes);
    return path;
  };

  it('hashes files of all lengths by any algorithm', async () => {
    for (const length of [0, 1, 512 * 1024, BYTES.length]) {
      const bytes = BYTES.subarray(0, length);
      const path = await put('blob', bytes);
      for (const algorithm of ['sha256', 'sha512']) {
        const { hex } = await hashFile(path, algorithm, Infinity, NEVER);
        assert.equal(hex, createHash(algorithm).update(bytes).digest('hex'));
      }
    }
  });

  it('gives the states before and after, which differ when the file changes meanwhile', async () => {
    const path = await put('changing', BYTES);
    const hashing = hashFile(path, 'sha256', 30_000_000, NEVER);
    await new Promise((resolve) => setTimeout(resolve, 30));
    await appendFile(path, 'more');
    const changed = await hashing;
    assert.notDeepEqual(changed.before, changed.after);
    const same = await hashFile(path, 'sha256', Infinity, NEVER);
    assert.deepEqual(same.before, same.after);
  });

  it('stops with the reason of its signal in the middle of a slow read', async () => {
    const path = await put('slow', BYTES);
    const stop = new AbortController();
    const hashing = hashFile(path, 'sha256', 1_000, stop.signal);
    stop.abort(new Error('enough'));
    await assert.rejects(hashing, /enough/);
  });

  it('rejects with the code of the system when there is no such file', async () => {
    const missing = join(folder, 'missing');
    await assert.rejects(hashFile(missing, 'sha256', Infinity, NEVER), { code: 'ENOENT' });
  });
});
