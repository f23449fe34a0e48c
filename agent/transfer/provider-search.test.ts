import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { Provider } from '../routing/router.ts';
import { eventually } from '../testing/eventually.ts';
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

test('another provider is looked for only when there is none to take', async () => {
  const { search, state } = searching('a', 'b', 'c');
  // As a race does, which finds nobody at first.
  assert.equal(search.take(), undefined);
  assert.equal(await search.wait(), 'provider');
  await new Promise(setImmediate);
  assert.equal(state.asked, 1);
  assert.equal(search.take()?.peerId, 'a');
  await new Promise(setImmediate);
  assert.equal(state.asked, 1, 'one is being tried');
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

test('a search that is given up leaves the directory', async () => {
  const { search, state } = searching('a', 'b');
  await search.wait();
  search[Symbol.dispose]();
  await eventually(() => {
    assert.equal(state.ended, true);
  });
});
