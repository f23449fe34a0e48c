import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { describe, it } from 'node:test';

import type { Digest } from '../../oci/digest.ts';
import type { Ingest, Ingests } from '../../store/ingests.ts';
import { ABSENT, digestOf } from './content-store.ts';
import { waitTests } from './ingests-waiting.ts';

/** One unfinished download, from the side of the client that writes it. */
export interface DownloadUnderTest {
  write(bytes: Buffer): Promise<void>;
  /** Removes all bytes and goes on with the same download. */
  restart(): Promise<void>;
  /** Commits the download, of which all bytes are there. */
  commit(): Promise<void>;
  /** Removes the download. */
  abort(): Promise<void>;
}

/** Unfinished downloads under test, with what writes them. */
export interface IngestsUnderTest extends AsyncDisposable {
  readonly ingests: Ingests;
  begin(digest: Digest, total?: number): Promise<DownloadUnderTest>;
}

export interface IngestsConformanceOptions {
  /** Whether the client can restart a download; true by default. */
  readonly restarts?: boolean;
}

/** Milliseconds; far more than anything takes here. */
const PATIENCE = 30_000;
const NEVER = new AbortController().signal;
const BYTES = randomBytes(1_500_000);
const DIGEST = digestOf(BYTES);
const WRONG = Buffer.concat([BYTES.subarray(0, -1), Buffer.from([(BYTES.at(-1) ?? 0) ^ 1])]);
const [HALF, TOTAL] = [700_000, BYTES.length];

/**
 * The contract of {@link Ingests} in code.
 *
 * @param factory makes an instance without downloads; it is disposed of after each test
 */
export function ingestsConformance(
  name: string,
  factory: () => Promise<IngestsUnderTest>,
  { restarts = true }: IngestsConformanceOptions = {},
): void {
  describe(`${name}: ingests conformance`, { timeout: PATIENCE }, () => {
    it('finds a download by its digest', async () => {
      await using test = await factory();
      assert.equal(await test.ingests.has(DIGEST), false);
      assert.equal(await test.ingests.open(DIGEST), undefined);
      const download = await test.begin(DIGEST, TOTAL);
      await download.write(BYTES.subarray(0, HALF));
      assert.equal(await test.ingests.has(DIGEST), true);
      assert.equal(await test.ingests.has(ABSENT), false);
      await using ingest = await opened(test);
      assert.equal(ingest.digest, DIGEST);
      assert.equal(ingest.total, TOTAL);
    });

    it('gives offset, total and state as the bytes arrive', async () => {
      await using test = await factory();
      const download = await test.begin(DIGEST, TOTAL);
      await download.write(BYTES.subarray(0, HALF));
      await using ingest = await opened(test);
      assert.deepEqual(await ingest.progress(), { offset: HALF, total: TOTAL, state: 'arriving' });
      await download.write(BYTES.subarray(HALF));
      assert.deepEqual(await ingest.progress(), { offset: TOTAL, total: TOTAL, state: 'whole' });
      assert.equal(await ingest.state(), 'whole');
    });

    readTests(factory);
    waitTests(factory, restarts);
    verifyTests(factory);
  });
}

function readTests(factory: () => Promise<IngestsUnderTest>): void {
  it('streams ranges of what has arrived, several at the same time', async () => {
    await using test = await factory();
    const download = await test.begin(DIGEST, TOTAL);
    await download.write(BYTES.subarray(0, HALF));
    await using ingest = await opened(test);
    const ranges = [
      [0, HALF - 1],
      [0, 0],
      [1, 4_096],
      [HALF - 1, HALF - 1],
      [5, 4],
    ] as const;
    await Promise.all(
      ranges.map(async ([start, end]) => {
        const read = await buffer(ingest.read({ start, end }));
        assert.ok(read.equals(BYTES.subarray(start, end + 1)), `${start}-${end}`);
      }),
    );
  });

  it('fails a range of which bytes have not arrived, and refuses one outside the content', async () => {
    await using test = await factory();
    const download = await test.begin(DIGEST, TOTAL);
    await download.write(BYTES.subarray(0, HALF));
    await using ingest = await opened(test);
    await assert.rejects(buffer(ingest.read({ start: HALF - 1, end: HALF })));
    for (const [start, end] of [
      [0, TOTAL],
      [-1, 3],
      [5, 3],
      [0.5, 3],
    ] as const) {
      assert.throws(() => ingest.read({ start, end }), RangeError, `${start}-${end}`);
    }
  });

  for (const end of ['commit', 'abort'] as const) {
    it(`stays readable after ${end}`, async () => {
      await using test = await factory();
      const download = await test.begin(DIGEST, TOTAL);
      await download.write(BYTES.subarray(0, HALF));
      await using ingest = await opened(test);
      const there = end === 'commit' ? TOTAL : HALF;
      if (end === 'commit') await download.write(BYTES.subarray(HALF));
      await download[end]();
      const progress = { offset: there, total: TOTAL, state: 'removed' };
      assert.deepEqual(await ingest.progress(), progress);
      assert.equal(await test.ingests.has(DIGEST), false);
      const read = await buffer(ingest.read({ start: 0, end: there - 1 }));
      assert.ok(read.equals(BYTES.subarray(0, there)));
    });
  }

  it('stops a stream with the reason of its signal, and all streams when it is disposed of', async () => {
    await using test = await factory();
    const download = await test.begin(DIGEST, TOTAL);
    await download.write(BYTES);
    const ingest = await opened(test);
    const reason = new Error('enough');
    const stream = ingest.read({ start: 0, end: TOTAL - 1 }, AbortSignal.abort(reason));
    await assert.rejects(buffer(stream), (error) => error === reason);
    const unread = ingest.read({ start: 0, end: TOTAL - 1 }).on('error', () => undefined);
    await ingest[Symbol.asyncDispose]();
    assert.ok(unread.destroyed);
    assert.throws(() => ingest.read({ start: 0, end: 0 }));
  });
}

function verifyTests(factory: () => Promise<IngestsUnderTest>): void {
  it('verifies nothing before all bytes are there, and then compares them with the digest', async () => {
    await using test = await factory();
    const download = await test.begin(DIGEST, TOTAL);
    await download.write(BYTES.subarray(0, HALF));
    await using ingest = await opened(test);
    assert.equal(await ingest.verify(NEVER), undefined);
    assert.equal(await ingest.abort(NEVER), false);
    await download.write(BYTES.subarray(HALF));
    assert.equal(await ingest.verify(NEVER), true);
    assert.equal(await ingest.abort(NEVER), false);
    assert.equal(await ingest.state(), 'whole');
  });

  it('aborts a download that it found wrong, once', async () => {
    await using test = await factory();
    const download = await test.begin(DIGEST, TOTAL);
    await download.write(WRONG);
    await using ingest = await opened(test);
    assert.equal(await ingest.abort(NEVER), false, 'not before it is known to be wrong');
    assert.equal(await ingest.verify(NEVER), false);
    assert.equal(await ingest.abort(NEVER), true);
    assert.equal(await ingest.state(), 'removed');
    assert.equal(await test.ingests.has(DIGEST), false);
    assert.equal(await ingest.abort(NEVER), false);
  });
}

async function opened({ ingests }: IngestsUnderTest): Promise<Ingest> {
  const ingest = await ingests.open(DIGEST);
  assert.ok(ingest !== undefined);
  return ingest;
}
