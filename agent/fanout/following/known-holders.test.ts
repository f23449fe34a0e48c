import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { MemoryNetwork, MemoryRouter } from '../../routing/memory-router.ts';
import type { Provider } from '../../routing/router.ts';
import { sha256 } from '../../testing/image.ts';
import { KnownHolders } from './known-holders.ts';

const DIGEST = sha256(Buffer.from('layer'));
const { signal } = new AbortController();

/** The holders that a node knows when so many others hold the content. */
async function holdersOf(count: number): Promise<KnownHolders> {
  const network = new MemoryNetwork();
  const router = new MemoryRouter({ network }, { peerId: 'me', origins: [] });
  await router.advertise([DIGEST]);
  for (let at = 0; at < count; at++) {
    const holder = new MemoryRouter({ network }, { peerId: `holder ${at}`, origins: [] });
    await holder.advertise([DIGEST]);
  }
  return new KnownHolders({ router });
}

describe('KnownHolders', () => {
  for (const [count, isThere, areFew] of [
    [0, false, false],
    [1, true, true],
    [2, true, true],
    [3, true, false],
    [20, true, false],
  ] as const) {
    it(`says of ${count} other holders whether there is one, and whether they are few`, async () => {
      const holders = await holdersOf(count);
      assert.equal(await holders.isThere(DIGEST, signal), isThere);
      assert.equal(await holders.areFew(DIGEST, signal), areFew);
    });
  }

  it('ends with the client', async () => {
    const holders = await holdersOf(1);
    const gone = AbortSignal.abort(new Error('the client left'));
    await assert.rejects(holders.isThere(DIGEST, gone), /the client left/);
  });

  it('counts what was found when content routing does not end', async () => {
    const lookup = async function* (_: string, ends?: AbortSignal): AsyncGenerator<Provider> {
      yield { peerId: 'holder', origins: [] };
      await new Promise((resolve) => ends?.addEventListener('abort', resolve));
    };
    const holders = new KnownHolders({ router: { lookup } });
    assert.equal(await holders.areFew(DIGEST, signal), true);
  });
});
