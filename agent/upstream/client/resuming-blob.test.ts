import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { describe, it } from 'node:test';

import type { ByteRange } from '../../oci/byte-range.ts';
import { UpstreamError } from '../upstream-error.ts';
import type { BlobAnswer } from './blob-answer.ts';
import { asStream, bytesOf, resumingBlob } from './resuming-blob.ts';

const signal = new AbortController().signal;
const TEXT = '0123456789';

function answer(from: number, chunks: readonly string[], failure?: Error): BlobAnswer {
  async function* read(): AsyncGenerator<Buffer> {
    for (const chunk of chunks) yield await Promise.resolve(Buffer.from(chunk));
    if (failure !== undefined) throw failure;
  }
  const body = Readable.from(read());
  return { size: TEXT.length, range: { start: from, end: TEXT.length - 1 }, body, host: 'ghcr.io' };
}

async function read(
  first: BlobAnswer,
  wanted: ByteRange,
  again: (rest: ByteRange) => BlobAnswer,
  slowMs?: number,
): Promise<string> {
  let text = '';
  const ask = (rest: ByteRange): Promise<BlobAnswer> => Promise.resolve().then(() => again(rest));
  const init = {
    first,
    wanted,
    read: asStream,
    again: ask,
    ...(slowMs !== undefined && { slowMs }),
  };
  for await (const chunk of bytesOf(resumingBlob(init, signal))) text += String(chunk);
  return text;
}

describe('resumingBlob', () => {
  const all = { start: 0, end: 9 };
  const never = (): BlobAnswer => assert.fail('asked again');

  it('gives the bytes that are wanted, of an answer that has more', async () => {
    assert.equal(await read(answer(0, ['0123', '4567', '89']), all, never), TEXT);
    assert.equal(await read(answer(0, ['0123', '4567', '89']), { start: 3, end: 5 }, never), '345');
    assert.equal(await read(answer(4, ['456789']), { start: 4, end: 9 }, never), '456789');
  });

  it('asks for the rest at the byte where the body broke or ended early', async () => {
    const asked: ByteRange[] = [];
    const again = (rest: ByteRange): BlobAnswer => {
      asked.push(rest);
      return asked.length === 1 ? answer(3, ['34']) : answer(0, ['01', '23456', '789']);
    };
    assert.equal(await read(answer(0, ['0', '12'], new Error('reset')), all, again), TEXT);
    assert.deepEqual(asked, [
      { start: 3, end: 9 },
      { start: 5, end: 9 },
    ]);
  });

  it('takes a body that trickles for one that has stopped, and ends when they all do', async () => {
    let asked = 0;
    const again = ({ start }: ByteRange): BlobAnswer => {
      asked += 1;
      return answer(start, TEXT.slice(start).split(''));
    };
    // With a bound of 0 ms each chunk is too slow.
    await assert.rejects(read(answer(0, TEXT.split('')), all, again, 0), { reason: 'timeout' });
    assert.equal(asked, 4);
  });

  it('ends when the registry refuses the rest', async () => {
    const again = (): BlobAnswer => {
      throw new UpstreamError('denied', 'expired');
    };
    await assert.rejects(read(answer(0, ['0'], new Error('reset')), all, again), {
      reason: 'denied',
    });
  });
});
