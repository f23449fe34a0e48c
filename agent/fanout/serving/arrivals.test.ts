import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it, type TestContext } from 'node:test';

import fc from 'fast-check';

import type { Ingest } from '../../store/ingests.ts';
import { MemoryIngests, type MemoryDownload } from '../../store/memory-ingests.ts';
import { MemoryStore } from '../../store/memory-store.ts';
import { eventually } from '../../testing/eventually.ts';
import { sha256 } from '../../testing/image.ts';
import { Arrivals } from './arrivals.ts';
import { Tails, type TailReader } from './tail/tails.ts';

const BYTES = randomBytes(1_000_000);
const DIGEST = sha256(BYTES);
const TOTAL = BYTES.length;
const NEVER = new AbortController().signal;

interface Stage {
  readonly arrivals: Arrivals;
  readonly download: MemoryDownload;
  readonly ingest: Ingest;
  readonly tails: Tails;
  readonly tail: TailReader;
  readonly feed: ReturnType<Tails['begin']>;
  readonly store: MemoryStore;
}

async function stage(
  t: TestContext | undefined,
  { start = 0, end = TOTAL - 1, signal = NEVER, tailBytes = 4 * 64 * 1024 } = {},
): Promise<Stage> {
  const ingests = new MemoryIngests();
  const download = ingests.begin(DIGEST, TOTAL);
  const ingest = await ingests.open(DIGEST);
  assert.ok(hasTotal(ingest));
  const tails = new Tails({ tailBytes, earlyBytes: 0 });
  const tail = tails.follow(DIGEST);
  t?.after(() => {
    tail[Symbol.dispose]();
  });
  const store = new MemoryStore(ingests);
  const parts = { ingest, store, tail };
  const arrivals = new Arrivals(parts, { start, end }, signal);
  return { arrivals, download, ingest, tails, tail, feed: tails.begin(DIGEST), store };
}

function hasTotal(ingest: Ingest | undefined): ingest is Ingest & { readonly total: number } {
  return ingest?.total !== undefined;
}

/** Reads all parts, and keeps which of the two they came from. */
function collect({ arrivals, ingest }: Pick<Stage, 'arrivals' | 'ingest'>): {
  readonly received: Buffer[];
  readonly from: string[];
  readonly done: Promise<void>;
} {
  const received: Buffer[] = [];
  const from: string[] = [];
  const done = (async () => {
    for await (const part of arrivals) {
      if ('bytes' in part) {
        from.push('tail');
        received.push(Buffer.from(part.bytes));
        part[Symbol.dispose]();
      } else {
        from.push('file');
        for await (const chunk of ingest.read(part)) received.push(chunk as Buffer);
      }
    }
  })();
  return { received, from, done };
}

async function has(received: readonly Buffer[], start: number, end: number): Promise<void> {
  await eventually(() => {
    assert.ok(Buffer.concat(received).equals(BYTES.subarray(start, end)));
  });
}

describe('Arrivals', () => {
  it('takes bytes from the tail before the file has them, and each once', async (t) => {
    const all = await stage(t);
    const { received, from, done } = collect(all);
    all.feed.append(0, BYTES.subarray(0, 1_000));
    await has(received, 0, 1_000);
    all.download.write(BYTES.subarray(0, 500));
    all.feed.append(1_000, BYTES.subarray(1_000, 3_000));
    await has(received, 0, 3_000);
    all.download.write(BYTES.subarray(500, 4_000));
    await has(received, 0, 4_000);
    all.feed.append(3_000, BYTES.subarray(3_000, 5_000));
    await has(received, 0, 5_000);
    assert.deepEqual(from, ['tail', 'tail', 'file', 'tail']);
    all.download.write(BYTES.subarray(4_000));
    await done;
    await has(received, 0, TOTAL);
    assert.ok(all.arrivals.waits > 0 && !all.arrivals.isWaiting);
  });

  it('reads the file when it is behind the tail, and then the tail again', async (t) => {
    const all = await stage(t, { tailBytes: 2 * 64 * 1024 });
    all.download.write(BYTES.subarray(0, 450_000));
    all.feed.append(300_000, BYTES.subarray(300_000, 500_000));
    const { received, from, done } = collect(all);
    await has(received, 0, 500_000);
    assert.deepEqual([from[0], from.at(-1)], ['file', 'tail']);
    // The tail is far ahead, so that the reader has to wait for the file.
    all.feed.append(700_000, BYTES.subarray(700_000, 800_000));
    await eventually(() => {
      assert.ok(all.arrivals.isWaiting);
    });
    all.download.write(BYTES.subarray(450_000, 750_000));
    await has(received, 0, 800_000);
    all.download.write(BYTES.subarray(750_000));
    await done;
    await has(received, 0, TOTAL);
  });

  it('gives exactly its range, and keeps nothing of the tail', async () => {
    const all = await stage(undefined, { start: 100, end: 899 });
    const { received, done } = collect(all);
    all.feed.append(0, BYTES.subarray(0, 2_000));
    await done;
    await has(received, 100, 900);
    all.tail[Symbol.dispose]();
    assert.equal(all.tails.bytes, 0);
  });

  it('goes on from the file when the tail ends', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const all = await stage(t);
    const { received, done } = collect(all);
    all.feed.append(0, BYTES.subarray(0, 1_000));
    all.feed[Symbol.dispose]();
    while (Buffer.concat(received).length < 1_000) await new Promise(setImmediate);
    all.download.write(BYTES.subarray(0, 2_000));
    t.mock.timers.tick(2_000);
    assert.equal(all.tail.isOver, true);
    all.download.write(BYTES.subarray(2_000));
    await done;
    assert.ok(Buffer.concat(received).equals(BYTES));
  });

  it('fails when the tail begins anew and the file has less than was sent', async (t) => {
    const all = await stage(t);
    const { received, done } = collect(all);
    const failed = assert.rejects(done, /begun anew/);
    all.feed.append(0, BYTES.subarray(0, 1_000));
    await has(received, 0, 1_000);
    all.feed.append(0, Buffer.alloc(10));
    await failed;
  });

  it('fails when the download is given up while the tail is ahead', async (t) => {
    const all = await stage(t);
    const { received, done } = collect(all);
    const failed = assert.rejects(done, /given up/);
    all.download.write(BYTES.subarray(0, 500));
    all.feed.append(0, BYTES.subarray(0, 1_000));
    await has(received, 0, 1_000);
    all.download.end();
    await failed;
  });

  it('ends with the reason of the signal', async (t) => {
    const stop = new AbortController();
    const all = await stage(t, { signal: stop.signal });
    const { received, done } = collect(all);
    const failed = assert.rejects(done, /left/);
    all.feed.append(0, BYTES.subarray(0, 1_000));
    await has(received, 0, 1_000);
    stop.abort(new Error('left'));
    await failed;
  });

  it('gives the same bytes in whatever order tail and file grow', async () => {
    const step = fc.record({
      grows: fc.constantFrom('tail', 'file', 'both', 'gap', 'end'),
      bytes: fc.integer({ min: 1, max: 200_000 }),
      turns: fc.nat(3),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
        const all = await stage(undefined, { tailBytes: 2 * 64 * 1024 });
        const { received, done } = collect(all);
        let { feed } = all;
        let [forwarded, written] = [0, 0];
        for (const { grows, bytes, turns } of steps) {
          const to = Math.min(TOTAL, forwarded + bytes);
          if (grows === 'gap') forwarded = to; // A part of the body that is not copied.
          if (grows === 'tail' || grows === 'both') {
            feed.append(forwarded, BYTES.subarray(forwarded, to));
            forwarded = to;
          }
          if (grows === 'end') {
            feed[Symbol.dispose]();
            feed = all.tails.begin(DIGEST);
          }
          // The client has not got more than was forwarded to it.
          const end = Math.min(forwarded, written + bytes);
          if ((grows === 'file' || grows === 'both') && end > written) {
            all.download.write(BYTES.subarray(written, end));
            written = end;
          }
          for (let turn = 0; turn < turns; turn += 1) await new Promise(setImmediate);
        }
        if (written < TOTAL) all.download.write(BYTES.subarray(written));
        await done;
        assert.ok(Buffer.concat(received).equals(BYTES));
        feed[Symbol.dispose]();
        all.tail[Symbol.dispose]();
        assert.equal(all.tails.bytes, 0);
      }),
      { numRuns: 50 },
    );
  });
});
