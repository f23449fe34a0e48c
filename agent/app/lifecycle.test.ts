import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Lifecycle, type Part } from './lifecycle.ts';

const ORDER = ['store', 'port', 'router'] as const;

/** A part that notes its start and its end. */
function noting(events: string[], name: string): Part<string> {
  return {
    start: () => {
      events.push(`start ${name}`);
      return name;
    },
    stop: async () => {
      events.push(`stop ${name}`);
      await new Promise(setImmediate);
      events.push(`stopped ${name}`);
    },
  };
}

describe('Lifecycle', () => {
  it('stops the parts in the reverse order of their start, one after the other, and once', async () => {
    const events: string[] = [];
    const parts = new Lifecycle(ORDER);
    parts.add('store', noting(events, 'store'));
    assert.equal(await parts.start('router', noting(events, 'router')), 'router');
    await parts[Symbol.asyncDispose]();
    await parts[Symbol.asyncDispose]();
    assert.deepEqual(events, [
      'start router',
      'stop router',
      'stopped router',
      'stop store',
      'stopped store',
    ]);
  });

  it('refuses a part whose place in the order has passed', async () => {
    await using parts = new Lifecycle(ORDER);
    const events: string[] = [];
    await parts.start('port', noting(events, 'port'));
    assert.throws(() => {
      parts.add('store', noting(events, 'store'));
    }, /"store" cannot start here/);
    await assert.rejects(parts.start('port', noting(events, 'port')), /"port" cannot start here/);
    assert.deepEqual(events, ['start port'], 'a refused part is not started');
  });

  it('stops a part whose start failed, as it may have begun', async () => {
    const parts = new Lifecycle(ORDER);
    const events: string[] = [];
    const failing = {
      ...noting(events, 'port'),
      start: () => Promise.reject(new Error('port in use')),
    };
    await assert.rejects(parts.start('port', failing), /port in use/);
    await parts[Symbol.asyncDispose]();
    assert.deepEqual(events, ['stop port', 'stopped port']);
  });

  it('stops the others when one fails to stop, and then throws its error', async () => {
    const parts = new Lifecycle(ORDER);
    const events: string[] = [];
    parts.add('store', noting(events, 'store'));
    parts.add('router', { stop: () => Promise.reject(new Error('cannot leave')) });
    await assert.rejects(async () => {
      await parts[Symbol.asyncDispose]();
    }, /cannot leave/);
    assert.deepEqual(events, ['stop store', 'stopped store']);
  });
});
