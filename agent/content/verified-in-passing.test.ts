import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';

import type { Digest } from '../oci/digest.ts';
import { verifiedInPassing } from './verified-in-passing.ts';

async function* chunks(texts: readonly string[], failure?: Error): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield await Promise.resolve(Buffer.from(text));
  if (failure !== undefined) throw failure;
}

const digest = `sha512:${createHash('sha512').update('abc').digest('hex')}` as Digest;

async function read(body: AsyncIterable<Uint8Array>): Promise<{ text: string; error?: unknown }> {
  let text = '';
  try {
    for await (const chunk of verifiedInPassing(
      body,
      digest,
      () => new Error('ghcr.io sends other bytes'),
    ))
      text += String(chunk);
    return { text };
  } catch (error) {
    return { text, error };
  }
}

describe('verifiedInPassing', () => {
  it('forwards all of right content', async () => {
    assert.deepEqual(await read(chunks(['a', 'b', 'c'])), { text: 'abc' });
    assert.deepEqual(await read(chunks(['abc'])), { text: 'abc' });
  });

  it('withholds the last chunk of wrong content', async () => {
    const { text, error } = await read(chunks(['a', 'b', 'd']));
    assert.equal(text, 'ab');
    assert.match(String(error), /ghcr.io sends other bytes/);
    assert.equal((await read(chunks([]))).text, '');
  });

  it('forwards all of a body that breaks, which the client may resume', async () => {
    const failure = new Error('broken');
    assert.deepEqual(await read(chunks(['a', 'b'], failure)), { text: 'ab', error: failure });
  });
});
