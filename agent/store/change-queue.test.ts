import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { ABSENT } from '../testing/conformance/content-store.ts';
import { ChangeQueue } from './change-queue.ts';
import type { StoreChange } from './content-store.ts';

const ADDED: StoreChange = { kind: 'blob-added', digest: ABSENT };
const DELETED: StoreChange = { kind: 'blob-deleted', digest: ABSENT };
const RELIST: StoreChange = { kind: 'relist' };
const NEVER = new AbortController().signal;

describe('ChangeQueue', () => {
  it('gives changes in their order, and waits for the next', async () => {
    const queue = new ChangeQueue(10, NEVER);
    queue.push(ADDED);
    queue.push(DELETED);
    assert.deepEqual([await queue.next(), await queue.next()], [ADDED, DELETED]);
    const next = queue.next();
    queue.push(ADDED);
    assert.deepEqual(await next, ADDED);
  });

  it('replaces everything by one relist beyond its limit, and keeps only that until it is taken', async () => {
    const queue = new ChangeQueue(2, NEVER);
    for (let count = 0; count < 5; count += 1) queue.push(ADDED);
    assert.deepEqual(await queue.next(), RELIST);
    queue.push(DELETED);
    assert.deepEqual(await queue.next(), DELETED);
    queue.push(ADDED);
    queue.push(RELIST);
    queue.push(DELETED);
    assert.deepEqual(await queue.next(), RELIST);
  });

  it('rejects with its failure, after the changes that came before', async () => {
    const queue = new ChangeQueue(10, NEVER);
    const failure = new Error('a bug');
    queue.push(ADDED);
    queue.fail(failure);
    assert.deepEqual(await queue.next(), ADDED);
    await assert.rejects(queue.next(), (error) => error === failure);
  });

  it('ends when its signal is aborted, also while it waits', async () => {
    const stop = new AbortController();
    const queue = new ChangeQueue(10, stop.signal);
    const next = queue.next();
    stop.abort();
    assert.equal(await next, undefined);
    queue.push(ADDED);
    assert.equal(await queue.next(), undefined);
  });
});
