import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';

import { HashedShares } from './hashed-shares.ts';

/** A body of chunks, each from the peer that is named before it. */
async function pass(chunks: readonly (readonly [peerId: string | undefined, text: string])[]) {
  const shares = new HashedShares();
  let deliverer: string | undefined;
  async function* body(): AsyncGenerator<Uint8Array> {
    for (const [peerId, text] of chunks) {
      await Promise.resolve();
      deliverer = peerId;
      yield Buffer.from(text);
    }
  }
  let passed = '';
  for await (const chunk of shares.through(body(), () => deliverer)) {
    passed += Buffer.from(chunk).toString();
  }
  return { passed, ...shares.delivered };
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

describe('HashedShares', () => {
  it('forwards the body, and hashes what each peer of interest delivers', async () => {
    const chunks = [
      ['a', 'one '],
      ['a', 'two '],
      [undefined, 'three '],
      ['b', 'four'],
    ] as const;
    assert.deepEqual(await pass(chunks), {
      passed: 'one two three four',
      shares: [
        { peerId: 'a', range: { start: 0, end: 7 } },
        { peerId: 'b', range: { start: 14, end: 17 } },
      ],
      digests: [sha256('one two '), sha256('four')],
    });
  });

  it('hashes nothing of peers that are not of interest', async () => {
    const { shares, digests } = await pass([[undefined, 'all']]);
    assert.deepEqual([shares, digests], [[], []]);
  });

  it('hashes at most 1,000 shares', async () => {
    const chunks = Array.from({ length: 1_500 }, (_, index) => [`${index}`, 'x'] as const);
    assert.equal((await pass(chunks)).shares.length, 1_000);
  });
});
