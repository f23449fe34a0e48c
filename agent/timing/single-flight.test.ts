import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { SingleFlight } from './single-flight.ts';

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
    const shared = new SingleFlight<string>();
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
    const shared = new SingleFlight<string>();
    for (const answer of ['one', 'two']) {
      assert.equal(await shared.ask('key', () => Promise.resolve(answer)), answer);
    }
  });

  it('calls at once for another key', () => {
    const shared = new SingleFlight<string>();
    const calls = new Calls();
    void shared.ask('one', calls.make);
    void shared.ask('other', calls.make);
    assert.equal(calls.begun.length, 2);
  });

  it('goes on after a call that failed, and fails only for who it was made for', async () => {
    const shared = new SingleFlight<string>();
    const first = shared.ask('key', () => Promise.reject(new Error('no')));
    const second = shared.ask('key', () => Promise.resolve('yes'));
    await assert.rejects(first, /no/);
    assert.equal(await second, 'yes');
  });

  it('answers by a call that has begun less than the given time before the question', async (t) => {
    let now = 0;
    t.mock.method(performance, 'now', () => now);
    const shared = new SingleFlight<string>(10);
    const calls = new Calls();
    const asked = [shared.ask('key', calls.make)];
    now = 9;
    asked.push(shared.ask('key', calls.make));
    now = 10;
    asked.push(shared.ask('key', calls.make));
    assert.equal(calls.begun.length, 1, 'one at a time');
    calls.answer(0, 'old');
    assert.deepEqual(await Promise.all(asked.slice(0, 2)), ['old', 'old']);
    calls.answer(1, 'new');
    assert.equal(await asked[2], 'new');
    assert.equal(await shared.ask('key', calls.make), 'new', 'kept when it has ended');
    now = 20;
    const last = shared.ask('key', calls.make);
    calls.answer(2, 'newest');
    assert.equal(await last, 'newest');
  });

  it('does not keep a failure', async () => {
    const shared = new SingleFlight<string>(1000);
    await assert.rejects(
      shared.ask('key', () => Promise.reject(new Error('no'))),
      /no/,
    );
    assert.equal(await shared.ask('key', () => Promise.resolve('yes')), 'yes');
  });
});
