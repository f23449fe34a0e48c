import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { listen } from '../testing/listen.ts';
import { LateHandler } from './late-handler.ts';

describe('LateHandler', () => {
  it('answers 503 UNAVAILABLE until it has a handler, and gives requests to that from then on', async (t) => {
    const late = new LateHandler('registry');
    const labels: string[] = [];
    const origin = await listen(t, async (...args) => {
      labels.push(await late.handle(...args));
    });
    const early = await fetch(origin);
    assert.equal(early.status, 503);
    const { errors } = (await early.json()) as { errors: { code: string }[] };
    assert.equal(errors[0]?.code, 'UNAVAILABLE');
    late.set((_req, res) => {
      res.end('made');
      return Promise.resolve('mirror' as const);
    });
    assert.equal(await (await fetch(origin)).text(), 'made');
    assert.deepEqual(labels, ['registry', 'mirror']);
  });
});
