import assert from 'node:assert/strict';
import { once } from 'node:events';
import { PassThrough, Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { describe, it } from 'node:test';

import { TimedBody } from './timed-body.ts';

const turn = (): Promise<void> => new Promise(setImmediate);

describe('TimedBody', () => {
  it('gives the bytes of its source', async () => {
    const chunks = Array.from({ length: 20 }, (_, at) => Buffer.alloc(10_000, at));
    const body = new TimedBody(Readable.from(chunks), { stallTimeout: 60_000 });
    assert.ok((await buffer(body)).equals(Buffer.concat(chunks)));
  });

  it('fails when no byte comes in time, and destroys its source', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const source = new PassThrough();
    const body = new TimedBody(source, { stallTimeout: 1_000, firstByteTimeout: 5_000 });
    const failed = assert.rejects(buffer(body), { reason: 'timeout' });
    await turn();
    t.mock.timers.tick(4_999);
    source.write('a');
    await turn();
    t.mock.timers.tick(999);
    assert.equal(body.destroyed, false);
    t.mock.timers.tick(1);
    await failed;
    assert.equal(source.destroyed, true);
  });

  it('lets a peer be silent for three times as long as before, where that is wanted', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const now = performance.now.bind(performance);
    let later = 0;
    t.mock.method(performance, 'now', () => now() + later);
    const pass = (milliseconds: number): void => {
      later += milliseconds;
      t.mock.timers.tick(milliseconds);
    };
    const source = new PassThrough();
    const body = new TimedBody(source, { stallTimeout: 1_000, isAdaptive: true });
    const failed = assert.rejects(buffer(body), { reason: 'timeout' });
    await turn();
    pass(900);
    source.write('a');
    await turn();
    pass(2_600);
    assert.equal(body.destroyed, false);
    pass(60_000);
    await failed;
  });

  it('counts only the time in which its reader waits', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const source = new PassThrough();
    const body = new TimedBody(source, { stallTimeout: 1_000 });
    source.end(Buffer.alloc(100_000));
    t.mock.timers.tick(60_000);
    assert.equal((await buffer(body)).length, 100_000);
  });

  it('fails with its source, and when that ends early', async () => {
    const failing = new PassThrough();
    const body = new TimedBody(failing, { stallTimeout: 60_000 });
    failing.destroy(new Error('reset'));
    await assert.rejects(buffer(body), /reset/);
    const closing = new PassThrough();
    const other = new TimedBody(closing, { stallTimeout: 60_000 });
    closing.destroy();
    await assert.rejects(buffer(other), { reason: 'body' });
  });

  it('destroys its source with itself, also without a reader', async () => {
    const source = new PassThrough();
    new TimedBody(source, { stallTimeout: 60_000 }).destroy();
    if (!source.closed) await once(source, 'close');
    assert.equal(source.destroyed, true);
  });
});
