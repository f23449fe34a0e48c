import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { stageOf, startStages, stopStages } from './stages.ts';

/** Stages that write down what is done with them; the one of this name fails to start. */
function stagesOf(log: string[], failing?: string) {
  const stages = ['a', 'b', 'c'].map((name) =>
    stageOf({
      start: () => {
        log.push(`start ${name}`);
        if (name === failing) throw new Error(name);
      },
      stop: () => {
        log.push(`stop ${name}`);
        return Promise.resolve();
      },
    }),
  );
  return { stages };
}

describe('startStages', () => {
  it('starts all in order, and stopStages stops them in reverse', async () => {
    const log: string[] = [];
    const parts = stagesOf(log);
    await startStages(parts);
    await stopStages(parts);
    const expected = ['start a', 'start b', 'start c', 'stop c', 'stop b', 'stop a'];
    assert.deepEqual(log, expected);
  });

  it('stops those that it has started when one fails', async () => {
    const log: string[] = [];
    await assert.rejects(startStages(stagesOf(log, 'b')), { message: 'b' });
    assert.deepEqual(log, ['start a', 'start b', 'stop b', 'stop a']);
  });
});
