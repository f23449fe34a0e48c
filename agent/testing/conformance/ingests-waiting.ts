import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { it } from 'node:test';

import type { Ingest } from '../../store/ingests.ts';
import { digestOf } from './content-store.ts';
import type { IngestsUnderTest } from './ingests.ts';

const NEVER = new AbortController().signal;
const BYTES = randomBytes(1_500_000);
const DIGEST = digestOf(BYTES);
const [HALF, TOTAL] = [700_000, BYTES.length];

/**
 * The part of the contract that is about `Ingest.waitForMore`.
 *
 * @param restarts whether the client can restart a download
 */
export function waitTests(factory: () => Promise<IngestsUnderTest>, restarts: boolean): void {
  it('resolves a wait at once when bytes are there already', async () => {
    await using test = await factory();
    const download = await test.begin(DIGEST, TOTAL);
    await download.write(BYTES.subarray(0, HALF));
    await using ingest = await opened(test);
    assert.equal((await ingest.waitForMore(HALF - 1, NEVER)).offset, HALF);
    await download.write(BYTES.subarray(HALF));
    assert.equal((await ingest.waitForMore(TOTAL, NEVER)).state, 'whole');
  });

  it('wakes all who wait when bytes arrive, and not before', async () => {
    await using test = await factory();
    const download = await test.begin(DIGEST, TOTAL);
    await using ingest = await opened(test);
    let woken = 0;
    const waiting = [0, 0, HALF].map(async (offset) => {
      const progress = await ingest.waitForMore(offset, NEVER);
      woken += 1;
      return progress.offset;
    });
    assert.equal(woken, 0);
    await download.write(BYTES.subarray(0, HALF));
    for (const offset of await Promise.all(waiting.slice(0, 2))) assert.ok(offset > 0);
    assert.equal(woken, 2);
    await download.write(BYTES.subarray(HALF));
    assert.ok(((await waiting[2]) ?? 0) > HALF);
  });

  it('lets a follower read everything while it is written and committed', async () => {
    await using test = await factory();
    const download = await test.begin(DIGEST, TOTAL);
    await using ingest = await opened(test);
    const chunks: Buffer[] = [];
    const following = (async () => {
      for (let offset = 0; offset < TOTAL;) {
        const progress = await ingest.waitForMore(offset, NEVER);
        if (progress.offset === offset) assert.fail('removed before its last byte');
        chunks.push(await buffer(ingest.read({ start: offset, end: progress.offset - 1 })));
        offset = progress.offset;
      }
    })();
    for (let start = 0; start < TOTAL; start += 100_000) {
      await download.write(BYTES.subarray(start, start + 100_000));
      if (start % 300_000 === 0) await new Promise(setImmediate);
    }
    await download.commit();
    await following;
    assert.ok(Buffer.concat(chunks).equals(BYTES));
  });

  it('wakes who waits when the download is aborted', async () => {
    await using test = await factory();
    const download = await test.begin(DIGEST, TOTAL);
    await download.write(BYTES.subarray(0, HALF));
    await using ingest = await opened(test);
    const waiting = ingest.waitForMore(HALF, NEVER);
    await download.abort();
    assert.deepEqual(await waiting, { offset: HALF, total: TOTAL, state: 'removed' });
  });

  it(
    'waits on while a download restarts, until it is beyond the offset',
    { skip: !restarts },
    async () => {
      await using test = await factory();
      const download = await test.begin(DIGEST, TOTAL);
      await download.write(BYTES.subarray(0, HALF));
      await using ingest = await opened(test);
      const waiting = ingest.waitForMore(HALF, NEVER);
      await download.restart();
      await download.write(BYTES.subarray(0, HALF));
      await download.write(BYTES.subarray(HALF, HALF + 1));
      assert.ok((await waiting).offset > HALF);
    },
  );

  it('rejects a wait with the reason of its signal, and when it is disposed of', async () => {
    await using test = await factory();
    await test.begin(DIGEST, TOTAL);
    const ingest = await opened(test);
    const stop = new AbortController();
    const reason = new Error('enough');
    const waiting = ingest.waitForMore(0, stop.signal);
    const other = ingest.waitForMore(0, NEVER);
    stop.abort(reason);
    await assert.rejects(waiting, (error) => error === reason);
    const closed = assert.rejects(other, /closed/);
    await ingest[Symbol.asyncDispose]();
    await closed;
    await assert.rejects(ingest.waitForMore(0, NEVER), /closed/);
  });
}

async function opened({ ingests }: IngestsUnderTest): Promise<Ingest> {
  const ingest = await ingests.open(DIGEST);
  assert.ok(ingest !== undefined);
  return ingest;
}
