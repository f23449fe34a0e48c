import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Provider } from '../../routing/router.ts';
import { eventually } from '../../testing/eventually.ts';
import { ProviderSearch } from './provider-search.ts';

const provider = (peerId: string): Provider => ({ peerId, origins: [`http://${peerId}:5000`] });

function searching(...peerIds: readonly string[]) {
  const state = { asked: 0, ended: false };
  const router = {
    async *lookup() {
      try {
        for (const peerId of peerIds) {
          state.asked++;
          await Promise.resolve();
          yield provider(peerId);
        }
        state.asked++;
      } finally {
        state.ended = true;
      }
    },
  };
  const init = { timeout: 1000, retries: 0, excluded: new Set<string>() };
  const search = new ProviderSearch(router, 'key', init, new AbortController().signal);
  return { search, state };
}

describe('ProviderSearch', () => {
  it('looks for another provider only when there is none to take', async () => {
    const { search, state } = searching('a', 'b', 'c');
    // Like a race, which finds no provider at first.
    assert.equal(search.take(), undefined);
    assert.equal(await search.wait(), 'provider');
    await new Promise(setImmediate);
    assert.equal(state.asked, 1);
    assert.equal(search.take()?.peerId, 'a');
    await new Promise(setImmediate);
    assert.equal(state.asked, 1, 'one provider is being asked');
    assert.equal(search.take(), undefined);
    await eventually(() => {
      assert.equal(state.asked, 2);
    });
    assert.equal(
      search.take(({ peerId }) => peerId !== 'b'),
      undefined,
      'b does not fit',
    );
    await eventually(() => {
      assert.equal(state.asked, 3);
    });
    assert.deepEqual([search.take()?.peerId, search.take()?.peerId], ['b', 'c']);
    assert.equal(await search.wait(), 'exhausted');
    search[Symbol.dispose]();
  });

  it('asks the DHT again and adds only the new providers', async () => {
    const holders = ['a'];
    const router = {
      async *lookup() {
        await Promise.resolve();
        yield* holders.map(provider);
      },
    };
    const init = { timeout: 1000, retries: 0, excluded: new Set<string>() };
    const search = new ProviderSearch(router, 'key', init, new AbortController().signal);
    assert.equal(await search.wait(), 'provider');
    assert.equal(search.take()?.peerId, 'a');
    assert.equal(await search.wait(), 'exhausted');
    holders.push('b');
    search.again();
    assert.equal(await search.wait(), 'provider');
    assert.equal(search.take()?.peerId, 'b');
    assert.equal(await search.wait(), 'exhausted');
    search[Symbol.dispose]();
  });

  it('ends the lookup when it is disposed of', async () => {
    const { search, state } = searching('a', 'b');
    await search.wait();
    search[Symbol.dispose]();
    await eventually(() => {
      assert.equal(state.ended, true);
    });
  });

  it('chooses among all providers that are known without asking when the first arrives', async () => {
    const router = {
      async *lookup() {
        await Promise.resolve();
        yield provider('a');
        yield provider('b');
        yield provider('c');
      },
      known: () => [provider('a'), provider('b')],
    };
    const offered: string[][] = [];
    const init = {
      timeout: 1000,
      retries: 0,
      excluded: new Set(['a']),
      choose: (candidates: readonly Provider[]) => {
        offered.push(candidates.map(({ peerId }) => peerId));
        return candidates.at(-1);
      },
    };
    const search = new ProviderSearch(router, 'key', init, new AbortController().signal);
    assert.equal(await search.wait(), 'provider');
    search.offer(provider('d'));
    search.offer(provider('b'));
    assert.equal(search.take()?.peerId, 'd');
    assert.equal(search.take()?.peerId, 'b');
    assert.deepEqual(offered, [['b', 'd'], ['b']]);
    assert.equal(search.take(), undefined);
    await eventually(() => {
      assert.equal(search.take()?.peerId, 'c', 'and the lookup continues');
    });
    search[Symbol.dispose]();
  });
});
