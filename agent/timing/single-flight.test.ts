import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { SingleFlight } from './single-flight.ts';

/** Calls that are answered when the test decides. */
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

describe('SingleFlight', () => {
  it('answers all callers that come during a call by one more call, which begins after they came', async () => {
    const shared = new SingleFlight<string>();
    const calls = new Calls();
    const first = shared.run('key', calls.make);
    const late = [shared.run('key', calls.make), shared.run('key', calls.make)];
    assert.equal(calls.begun.length, 1);
    calls.answer(0, 'old');
    assert.equal(await first, 'old');
    assert.equal(calls.begun.length, 2);
    calls.answer(1, 'new');
    assert.deepEqual(await Promise.all(late), ['new', 'new']);
    assert.equal(calls.begun.length, 2);
  });

  it('makes another call for a caller that comes after the answer', async () => {
    const shared = new SingleFlight<string>();
    for (const answer of ['one', 'two']) {
      assert.equal(await shared.run('key', () => Promise.resolve(answer)), answer);
    }
  });

  it('makes calls for different keys at the same time', () => {
    const shared = new SingleFlight<string>();
    const calls = new Calls();
    void shared.run('one', calls.make);
    void shared.run('other', calls.make);
    assert.equal(calls.begun.length, 2);
  });

  it('reports a failed call to its own callers only', async () => {
    const shared = new SingleFlight<string>();
    const first = shared.run('key', () => Promise.reject(new Error('no')));
    const second = shared.run('key', () => Promise.resolve('yes'));
    await assert.rejects(first, /no/);
    assert.equal(await second, 'yes');
  });

  it('answers by a call that began less than the given age before the caller came', async (t) => {
    let now = 0;
    t.mock.method(performance, 'now', () => now);
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const shared = new SingleFlight<string>(10);
    const calls = new Calls();
    const asked = [shared.run('key', calls.make)];
    now = 9;
    asked.push(shared.run('key', calls.make));
    now = 10;
    asked.push(shared.run('key', calls.make));
    assert.equal(calls.begun.length, 1, 'one at a time');
    calls.answer(0, 'old');
    assert.deepEqual(await Promise.all(asked.slice(0, 2)), ['old', 'old']);
    calls.answer(1, 'new');
    assert.equal(await asked[2], 'new');
    assert.equal(await shared.run('key', calls.make), 'new', 'kept when it has ended');
    now = 20;
    const last = shared.run('key', calls.make);
    calls.answer(2, 'newest');
    assert.equal(await last, 'newest');
  });

  it('does not keep a failure', async () => {
    const shared = new SingleFlight<string>(1000);
    await assert.rejects(
      shared.run('key', () => Promise.reject(new Error('no'))),
      /no/,
    );
    assert.equal(await shared.run('key', () => Promise.resolve('yes')), 'yes');
  });
});
