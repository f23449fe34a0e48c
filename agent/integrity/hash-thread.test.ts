import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { eventually } from '../testing/eventually.ts';
import { hashFile } from './file-hash.ts';
import { HashThread } from './hash-thread.ts';

const BYTES = randomBytes(3_000_000);
const HEX = createHash('sha256').update(BYTES).digest('hex');

async function makeFile(): Promise<AsyncDisposable & { path: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'peerglass-hash-'));
  const path = join(folder, 'blob');
  await writeFile(path, BYTES);
  return {
    path,
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
}

describe('HashThread', () => {
  it('hashes as `hashFile` does, and ends its thread when it is idle', async () => {
    await using file = await makeFile();
    await using thread = new HashThread(10);
    const signal = new AbortController().signal;
    const here = await hashFile(file.path, 'sha256', Infinity, signal);
    assert.equal(here.hex, HEX);
    for (let round = 0; round < 2; round += 1) {
      assert.deepEqual(await thread.hash(file.path, 'sha256', BYTES.length), here);
      await eventually(() => {
        assert.ok(!thread.isUp);
      });
    }
    const sha512 = createHash('sha512').update(BYTES).digest('hex');
    assert.equal((await thread.hash(file.path, 'sha512', 1)).hex, sha512);
  });

  it('hashes the smallest file first, and rejects with the code of the system', async () => {
    await using file = await makeFile();
    await using thread = new HashThread();
    const order: number[] = [];
    const all = [5, 3, 4, 1].map(async (size) => {
      await thread.hash(file.path, 'sha256', size);
      order.push(size);
    });
    await assert.rejects(thread.hash(`${file.path}.no`, 'sha256', 2), { code: 'ENOENT' });
    await Promise.all(all);
    assert.deepEqual(order, [5, 1, 3, 4]);
  });

  it('rejects what waits when it is disposed of', async () => {
    await using file = await makeFile();
    const thread = new HashThread();
    const hashing = [1, 2].map((size) => thread.hash(file.path, 'sha256', size));
    const failed = Promise.allSettled(hashing);
    await thread[Symbol.asyncDispose]();
    assert.deepEqual(
      (await failed).map(({ status }) => status),
      ['rejected', 'rejected'],
    );
  });
});
