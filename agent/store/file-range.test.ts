import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, open, rm, writeFile, type FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { after, before, describe, it } from 'node:test';

import { closeStream, FileRange } from './file-range.ts';

const BYTES = randomBytes(1_500_000);

describe('FileRange', () => {
  let folder = '';
  let file: FileHandle;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'pg-range-'));
    await writeFile(join(folder, 'file'), BYTES);
    file = await open(join(folder, 'file'));
  });
  after(async () => {
    await file.close();
    await rm(folder, { recursive: true });
  });

  it('streams exactly its range, several at the same time', async () => {
    const ranges = [
      [0, BYTES.length - 1],
      [524_287, 524_288],
      [7, 7],
      [7, 6],
    ] as const;
    await Promise.all(
      ranges.map(async ([start, end]) => {
        const read = await buffer(new FileRange(file, { start, end }));
        assert.ok(read.equals(BYTES.subarray(start, end + 1)), `${start}-${end}`);
      }),
    );
  });

  it('fails where the file ends before its range', async () => {
    const range = { start: BYTES.length - 10, end: BYTES.length + 4 };
    await assert.rejects(buffer(new FileRange(file, range)), /5 bytes too early/);
  });

  it('does not close before the read under way has ended', async () => {
    const own = await open(join(folder, 'file'));
    const stream = new FileRange(own, { start: 0, end: BYTES.length - 1 });
    stream.read(0);
    await closeStream(stream);
    assert.ok(stream.closed);
    await own.close();
    await closeStream(stream);
  });
});
