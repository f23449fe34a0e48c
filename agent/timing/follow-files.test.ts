import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { followFiles } from './follow-files.ts';

/** Follows files whose reads have these results, until there are no more, and gives what was refused. */
async function follow(...results: readonly (string | undefined)[]): Promise<string[]> {
  const refused: string[] = [];
  const stop = new AbortController();
  const left = [...results];
  await followFiles(
    {
      takeOver: () => {
        const result = left.shift();
        if (left.length === 0) stop.abort();
        if (result === undefined || result === 'unsettled') return Promise.resolve(result);
        return Promise.resolve(new Error(result));
      },
      refused: ({ message }) => refused.push(message),
    },
    { interval: 1, settle: 1 },
    stop.signal,
  );
  assert.deepEqual(left, []);
  return refused;
}

describe('followFiles', () => {
  it('reports nothing while the files can be used', async () => {
    assert.deepEqual(await follow(undefined, undefined, undefined), []);
  });

  it('reads files that cannot be used once more, as they may be half written', async () => {
    assert.deepEqual(await follow('half', undefined, undefined), []);
    assert.deepEqual(await follow('half', 'broken', undefined), ['broken']);
  });

  it('reports a reason once in a row, and again when it comes back', async () => {
    assert.deepEqual(await follow('a', 'a', 'a', 'a', undefined, 'a', 'a'), ['a', 'a']);
    assert.deepEqual(await follow('a', 'a', 'b', 'b', 'b'), ['a', 'b']);
  });

  it('reads files that have changed once more in the same round, as they may be half written', async () => {
    assert.deepEqual(await follow('unsettled', undefined, undefined), []);
    assert.deepEqual(await follow('unsettled', 'unsettled', 'unsettled'), []);
    // What the second read finds is reported at once: it is the second of its round.
    assert.deepEqual(await follow('unsettled', 'broken'), ['broken']);
  });

  it('rejects with an error that is no reason', async () => {
    const failing = {
      takeOver: () => Promise.reject(new Error('a mistake in the program')),
      refused: () => assert.fail('it is no reason'),
    };
    const { signal } = new AbortController();
    await assert.rejects(followFiles(failing, { interval: 1 }, signal), /a mistake/);
  });
});
