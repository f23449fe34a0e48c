import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { eventually } from '../testing/eventually.ts';
import { IdleCollection } from './idle-collection.ts';

const MIB = 1024 * 1024;

describe('IdleCollection', () => {
  it('collects only when the process is idle and has grown', async (t) => {
    t.mock.timers.enable({ apis: ['setInterval'] });
    let cpuMicroseconds = 0;
    let memory = 40 * MIB;
    let collections = 0;
    let costMicroseconds = 0;
    const collection = new IdleCollection(
      {
        cpuTime: () => cpuMicroseconds,
        memoryBytes: () => memory,
        collect: () => {
          collections += 1;
          cpuMicroseconds += costMicroseconds;
          return Promise.resolve();
        },
      },
      10_000,
    );
    collection.start();
    t.after(() => {
      collection.stop();
    });
    const pass = async (busyShare: number): Promise<number> => {
      cpuMicroseconds += busyShare * 10_000_000;
      t.mock.timers.tick(10_000);
      await new Promise(setImmediate);
      return collections;
    };
    assert.equal(await pass(0.5), 0, 'busy');
    assert.equal(await pass(0.01), 1, 'idle');
    assert.equal(await pass(0.01), 1, 'nothing has grown since');
    memory += 5 * MIB;
    assert.equal(await pass(0.2), 1, 'grown, but busy');
    costMicroseconds = 10_000;
    assert.equal(await pass(0.01), 2, 'grown, and idle');
    memory += 5 * MIB;
    assert.equal(
      await pass(0.01),
      2,
      'the last collection took 10 ms of processor time, so the next waits for 25 s',
    );
    assert.equal(await pass(0.01), 2, 'those 25 s have not passed');
    assert.equal(await pass(0.01), 3, 'they have passed');
    memory += 9 * MIB;
    assert.equal(await pass(0.01), 4, '8 MiB are urgent');
  });

  it('returns pages of the heap to the system', async (t) => {
    let garbage: unknown[] | undefined = Array.from({ length: 200_000 }, (_, i) => ({ i }));
    assert.equal(garbage.length, 200_000);
    const before = process.memoryUsage().heapTotal;
    garbage = undefined;
    const collection = new IdleCollection({ cpuTime: () => 0 }, 10);
    collection.start();
    t.after(() => {
      collection.stop();
    });
    await eventually(() => {
      assert.ok(process.memoryUsage().heapTotal < before - 4 * MIB);
    });
  });
});
