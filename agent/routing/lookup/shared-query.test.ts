import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate } from 'node:timers/promises';

import type { Provider } from '../router.ts';
import { SharedQuery } from './shared-query.ts';

function provider(peerId: string): Provider {
  return { peerId, origins: [`http://${peerId}:5000`] };
}

function controlled(initial: readonly Provider[] = []) {
  const end = Promise.withResolvers<undefined>();
  const state = { started: 0, ended: 0, aborted: false };
  let emit: (provider: Provider) => void = () => undefined;
  const query = new SharedQuery(
    initial,
    [
      async (found, signal) => {
        state.started++;
        emit = found;
        signal.addEventListener('abort', () => {
          state.aborted = true;
        });
        await end.promise;
        return false;
      },
    ],
    () => {
      state.ended++;
    },
  );
  return {
    query,
    state,
    found: (peerId: string) => {
      emit(provider(peerId));
    },
    finish: () => {
      end.resolve(undefined);
    },
  };
}

async function ids(providers: AsyncIterable<Provider>): Promise<string[]> {
  const list: string[] = [];
  for await (const { peerId } of providers) list.push(peerId);
  return list;
}

describe('SharedQuery', () => {
  it('gives each result to each reader once, also results from before it joined', async () => {
    const { query, state, found, finish } = controlled([provider('a')]);
    const early = ids(query.read());
    await setImmediate();
    found('b');
    found('a');
    const late = ids(query.read());
    found('c');
    finish();
    assert.deepEqual(await early, ['a', 'b', 'c']);
    assert.deepEqual(await late, ['a', 'b', 'c']);
    assert.deepEqual(state, { started: 1, ended: 1, aborted: true });
  });

  it('runs no step for a reader that takes only what is known', async () => {
    const { query, state } = controlled([provider('a')]);
    for await (const { peerId } of query.read()) {
      assert.equal(peerId, 'a');
      break;
    }
    assert.equal(state.started, 0);
    assert.equal(state.ended, 1);
  });

  it('is aborted when the last reader leaves, not before', async () => {
    const { query, state, found } = controlled();
    const [first, second] = [new AbortController(), new AbortController()];
    const reads = [ids(query.read(first.signal)), ids(query.read(second.signal))];
    await setImmediate();
    first.abort();
    assert.deepEqual(await reads[0], []);
    assert.equal(state.aborted, false);
    found('a');
    await setImmediate();
    second.abort();
    assert.deepEqual(await reads[1], ['a']);
    assert.equal(state.aborted, true);
  });

  it('adds later origins of a provider to those known', async () => {
    const { query, finish } = controlled([provider('a')]);
    query.offer({ peerId: 'a', origins: ['http://right:5000', 'http://a:5000'] });
    finish();
    const providers: Provider[] = [];
    for await (const found of query.read()) providers.push(found);
    assert.deepEqual(providers, [{ peerId: 'a', origins: ['http://a:5000', 'http://right:5000'] }]);
  });

  it('runs a further step only when a reader wants more than the one before has found', async () => {
    const taken: string[] = [];
    const step = (peerId: string) => (found: (it: Provider) => void) => {
      taken.push(peerId);
      found(provider(peerId));
      return Promise.resolve(false);
    };
    const query = new SharedQuery(
      [provider('known')],
      [step('first'), step('second')],
      () => undefined,
    );
    const reader = query.read();
    const next = async () => (await reader.next()).value?.peerId;
    assert.equal(await next(), 'known');
    assert.deepEqual(taken, []);
    assert.equal(await next(), 'first');
    await setImmediate();
    assert.deepEqual(taken, ['first']);
    assert.equal(await next(), 'second');
    assert.equal(await next(), undefined);
  });

  it('runs no step after one that is sure that there are no more', async () => {
    let further = 0;
    const query = new SharedQuery(
      [],
      [
        () => Promise.resolve(true),
        () => {
          further++;
          return Promise.resolve(true);
        },
      ],
      () => undefined,
    );
    assert.deepEqual(await ids(query.read()), []);
    assert.equal(further, 0);
  });
});
