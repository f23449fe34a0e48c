import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { FreshCalls } from './fresh-calls.ts';

/** Calls that are answered when the test says so. */
class Calls {
  readonly begun: PromiseWithResolvers<string>[] = [];

  readonly make = (): Promise<string> => {
    const call = Promise.withResolvers<string>();
    this.begun.push(call);
    return call.promise;
  };

  answer(index: number, answer: string): void {
    this.begun[index]?.resolve(answer);
  }
}

describe('FreshCalls', () => {
  it('answers all who ask during a call by one more, which begins after they asked', async () => {
    const shared = new FreshCalls<string>();
    const calls = new Calls();
    const first = shared.ask('key', calls.make);
    const late = [shared.ask('key', calls.make), shared.ask('key', calls.make)];
    assert.equal(calls.begun.length, 1);
    calls.answer(0, 'old');
    assert.equal(await first, 'old');
    assert.equal(calls.begun.length, 2);
    calls.answer(1, 'new');
    assert.deepEqual(await Promise.all(late), ['new', 'new']);
    assert.equal(calls.begun.length, 2);
  });

  it('calls anew for who asks when all is answered', async () => {
    const shared = new FreshCalls<string>();
    for (const answer of ['one', 'two']) {
      assert.equal(await shared.ask('key', () => Promise.resolve(answer)), answer);
    }
  });

  it('calls at once for another key', () => {
    const shared = new FreshCalls<string>();
    const calls = new Calls();
    void shared.ask('one', calls.make);
    void shared.ask('other', calls.make);
    assert.equal(calls.begun.length, 2);
  });

  it('goes on after a call that failed, and fails only for who it was made for', async () => {
    const shared = new FreshCalls<string>();
    const first = shared.ask('key', () => Promise.reject(new Error('no')));
    const second = shared.ask('key', () => Promise.resolve('yes'));
    await assert.rejects(first, /no/);
    assert.equal(await second, 'yes');
  });
});
