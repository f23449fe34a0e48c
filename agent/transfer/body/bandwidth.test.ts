import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { Bandwidth } from './bandwidth.ts';

const never = new AbortController().signal;

/** A bucket whose time is the test's. */
function bucket(t: TestContext, rate: number) {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  let now = 0;
  const bandwidth = new Bandwidth(rate, () => now);
  return {
    bandwidth,
    /** Lets so many milliseconds pass, one by one: a timer that is set in a callback begins when the tick ends. */
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
  it('lets a burst pass, and then what the rate allows', async (t) => {
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

  it('serves those who wait in the order of asking', async (t) => {
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

  it('takes nothing for who leaves the queue, and lets the next go on', async (t) => {
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

  it('makes those who come later pay for what passed without waiting', async (t) => {
    const { bandwidth, pass } = bucket(t, 1_000);
    bandwidth.charge(600);
    let served = false;
    void bandwidth.take(1, never).then(() => (served = true));
    await pass(490);
    assert.ok(!served);
    await pass(20);
    assert.ok(served);
  });

  it('cuts a body into slices that many transfers can share, and loses nothing of it', async () => {
    const bandwidth = new Bandwidth(1024 ** 3);
    const body = [Buffer.alloc(700_000, 1), Buffer.alloc(3, 2)];
    const pieces: Uint8Array[] = [];
    const source = (async function* () {
      await Promise.resolve();
      yield* body;
    })();
    for await (const piece of bandwidth.pace(source, never)) pieces.push(piece);
    assert.ok(pieces.every(({ length }) => length <= 256 * 1024));
    assert.ok(Buffer.concat(pieces).equals(Buffer.concat(body)));
    assert.equal(new Bandwidth(1024 ** 2).slice, 16 * 1024);
    assert.equal(new Bandwidth(1).slice, 4 * 1024);
  });
});
