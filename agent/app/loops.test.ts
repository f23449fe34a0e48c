import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it } from 'node:test';

import { Loops } from './loops.ts';

describe('Loops', () => {
  it('ends every loop, and resolves when the last one has ended', async () => {
    const events: string[] = [];
    const loop = (name: string): { run(signal: AbortSignal): Promise<void> } => ({
      async run(signal) {
        events.push(`run ${name}`);
        await once(signal, 'abort');
        await new Promise(setImmediate);
        events.push(`ended ${name}`);
      },
    });
    const loops = new Loops([loop('a'), loop('b')]);
    loops.start();
    assert.deepEqual(events, ['run a', 'run b']);
    await loops.stop();
    assert.deepEqual(events.slice(2), ['ended a', 'ended b']);
  });

  it('can stop before it has started, as after a failed start of another part', async () => {
    let runs = 0;
    const loops = new Loops([
      {
        run: () => {
          runs += 1;
          return Promise.resolve();
        },
      },
    ]);
    await loops.stop();
    assert.equal(runs, 0);
  });

  it('passes on at the end what a loop failed with', async () => {
    const loops = new Loops([{ run: () => Promise.reject(new Error('a defect')) }]);
    loops.start();
    await assert.rejects(loops.stop(), /a defect/);
  });
});
