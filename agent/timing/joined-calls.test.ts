import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { JoinedCalls } from './joined-calls.ts';

/** Calls that end when the test decides. */
class Calls {
  readonly begun: (PromiseWithResolvers<string> & { readonly abort: AbortSignal })[] = [];

  readonly begin = (abort: AbortSignal): Promise<string> => {
    const call = { ...Promise.withResolvers<string>(), abort };
    this.begun.push(call);
    return call.promise;
  };
}

const signal = new AbortController().signal;

describe('JoinedCalls', () => {
  it('answers callers for the same key by the call that is under way', async () => {
    const [joined, calls] = [new JoinedCalls<string>(), new Calls()];
    const callers = [
      joined.join('key', calls.begin, signal),
      joined.join('key', calls.begin, signal),
    ];
    const other = joined.join('other', calls.begin, signal);
    assert.equal(calls.begun.length, 2);
    calls.begun[0]?.resolve('one');
    calls.begun[1]?.resolve('two');
    assert.deepEqual(await Promise.all(callers), ['one', 'one']);
    assert.equal(await other, 'two');
  });

  it('begins a new call after the end of the last one, also when that failed', async () => {
    const [joined, calls] = [new JoinedCalls<string>(), new Calls()];
    const first = joined.join('key', calls.begin, signal);
    assert.equal(joined.has('key'), true);
    calls.begun[0]?.reject(new Error('no'));
    await assert.rejects(first, /no/);
    assert.equal(joined.has('key'), false);
    void joined.join('key', calls.begin, signal);
    assert.equal(calls.begun.length, 2);
  });

  it('aborts the call when the last caller has left, and no earlier', async () => {
    const [joined, calls] = [new JoinedCalls<string>(), new Calls()];
    const [one, other] = [new AbortController(), new AbortController()];
    const callers = [one, other].map(({ signal }) => joined.join('key', calls.begin, signal));
    one.abort(new Error('left'));
    await assert.rejects(callers[0] ?? Promise.resolve(), /left/);
    assert.equal(calls.begun[0]?.abort.aborted, false);
    other.abort(new Error('left too'));
    await assert.rejects(callers[1] ?? Promise.resolve(), /left too/);
    assert.equal(calls.begun[0].abort.aborted, true);
    assert.equal(joined.has('key'), false);
  });
});
