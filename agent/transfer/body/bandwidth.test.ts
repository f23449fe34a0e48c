import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { Bandwidth } from './bandwidth.ts';

const never = new AbortController().signal;

/** A bucket whose clock the test moves. */
function bucket(t: TestContext, rate: number) {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  let now = 0;
  const bandwidth = new Bandwidth(rate, () => now);
  return {
    bandwidth,
    /** Lets time pass in steps of 1 ms: a timer that is set in a callback begins at the end of a tick. */
    pass: async (milliseconds: number): Promise<void> => {
      for (let step = 0; step < milliseconds; step++) {
        now += 1;
        t.mock.timers.tick(1);
        await new Promise(setImmediate);
      }
    },
  };
}

describe('Bandwidth', () => {
  it('allows a burst, and then the rate', async (t) => {
    const { bandwidth, pass } = bucket(t, 1_000);
    let taken = 0;
    const taking = (async () => {
      for (; taken < 1_000; taken += 10) await bandwidth.take(10, never);
    })();
    await pass(1);
    assert.ok(taken >= 100 && taken <= 120, `${taken} at the start`);
    await pass(400);
    assert.ok(taken >= 480 && taken <= 530, `${taken} after 0.4 s`);
    await pass(700);
    await taking;
  });

  it('serves requests in their order', async (t) => {
    const { bandwidth, pass } = bucket(t, 1_000);
    await bandwidth.take(200, never);
    const served: string[] = [];
    for (const name of ['a', 'b', 'c']) {
      void bandwidth.take(50, never).then(() => served.push(name));
    }
    await pass(110);
    assert.deepEqual(served, ['a']);
    await pass(60);
    assert.deepEqual(served, ['a', 'b']);
    await pass(60);
    assert.deepEqual(served, ['a', 'b', 'c']);
  });

  it('takes nothing for a cancelled request, and serves the next', async (t) => {
    const { bandwidth, pass } = bucket(t, 1_000);
    await bandwidth.take(200, never);
    const leaving = new AbortController();
    const left = assert.rejects(bandwidth.take(1_000_000, leaving.signal), { name: 'AbortError' });
    let served = false;
    void bandwidth.take(10, never).then(() => (served = true));
    leaving.abort();
    await left;
    await pass(120);
    assert.ok(served);
    await assert.rejects(bandwidth.take(1, leaving.signal), { name: 'AbortError' });
  });

  it('delays later requests for bytes that were charged without waiting', async (t) => {
    const { bandwidth, pass } = bucket(t, 1_000);
    bandwidth.charge(600);
    let served = false;
    void bandwidth.take(1, never).then(() => (served = true));
    await pass(490);
    assert.ok(!served);
    await pass(20);
    assert.ok(served);
  });

  it('cuts a body into slices, and loses nothing of it', async () => {
    const bandwidth = new Bandwidth(1024 ** 3);
    const body = [Buffer.alloc(700_000, 1), Buffer.alloc(3, 2)];
    const slices: Uint8Array[] = [];
    const source = (async function* () {
      await Promise.resolve();
      yield* body;
    })();
    for await (const slice of bandwidth.pace(source, never)) slices.push(slice);
    assert.ok(slices.every(({ length }) => length <= 256 * 1024));
    assert.ok(Buffer.concat(slices).equals(Buffer.concat(body)));
    assert.equal(new Bandwidth(1024 ** 2).slice, 16 * 1024);
    assert.equal(new Bandwidth(1).slice, 4 * 1024);
  });
});
