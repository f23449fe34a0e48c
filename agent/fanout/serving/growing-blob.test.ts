import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { describe, it, type TestContext } from 'node:test';

import { DataPlane } from '../../native/data-plane.ts';
import type { Kernel } from '../../native/kernel.ts';
import type { Sink } from '../../native/sink.ts';
import type { ByteRange } from '../../oci/byte-range.ts';
import type { Ingest, IngestProgress } from '../../store/ingests.ts';
import { MemoryIngests } from '../../store/memory-ingests.ts';
import { MemoryStore } from '../../store/memory-store.ts';
import type { DownloadUnderTest } from '../../testing/conformance/ingests.ts';
import { eventually } from '../../testing/eventually.ts';
import { sha256 } from '../../testing/image.ts';
import { IngestFixture } from '../../testing/ingest-fixture.ts';
import { quiet } from '../../testing/quiet.ts';
import { Follower } from './follower.ts';
import { GrowingBlob } from './growing-blob.ts';
import { Tails } from './tail/tails.ts';

const BYTES = randomBytes(3_000_000);
const DIGEST = sha256(BYTES);
const [PART, TOTAL] = [1_000_000, BYTES.length];
const WHOLE = { start: 0, end: TOTAL - 1 };
const WAYS = ['body', 'moveTo'] as const;

interface Stage {
  readonly content: GrowingBlob;
  readonly download: DownloadUnderTest;
  readonly store: MemoryStore;
  readonly follower: Follower;
  readonly left: Follower[];
  readonly ingest: Ingest;
  readonly gone: AbortController;
  readonly tails: Tails;
  /** Appends bytes that are forwarded to the client. */
  readonly forward: (start: number, end: number) => void;
}

interface StageInit {
  readonly range?: ByteRange;
  readonly dataPlane?: Pick<DataPlane, 'kernel'>;
}

/** A blob of which {@link PART} bytes are there. */
async function grow(t: TestContext, { range = WHOLE, dataPlane }: StageInit = {}): Promise<Stage> {
  const fixture = await IngestFixture.create();
  t.after(() => fixture[Symbol.asyncDispose]());
  const download = await fixture.begin(DIGEST, TOTAL);
  await download.write(BYTES.subarray(0, PART));
  const ingest = await fixture.ingests.open(DIGEST);
  assert.ok(hasTotal(ingest));
  const left: Follower[] = [];
  const follower = new Follower(
    { progress: () => ingest.progress(), onLeave: (one) => left.push(one) },
    range,
  );
  const store = new MemoryStore(fixture.ingests);
  const plane = dataPlane ?? new DataPlane({ logger: quiet });
  const gone = new AbortController();
  const tails = new Tails({ earlyBytes: 0 });
  const tail = tails.follow(DIGEST);
  const feed = tails.begin(DIGEST);
  t.after(() => {
    feed[Symbol.dispose]();
  });
  const forward = (start: number, end: number): void => {
    feed.append(start, BYTES.subarray(start, end));
  };
  const parts = { ingest, store, follower, tail, dataPlane: plane };
  const content = new GrowingBlob(parts, range, gone.signal);
  t.after(() => content.held[Symbol.asyncDispose]());
  return { content, download, store, follower, left, ingest, gone, tails, forward };
}

function hasTotal(ingest: Ingest | undefined): ingest is Ingest & { readonly total: number } {
  return ingest?.total !== undefined;
}

/** A connection, the sink that leads to it, and all that its other end receives. */
async function makeSink(
  t: TestContext,
): Promise<{ readonly sink: Sink; readonly client: Socket; readonly received: Buffer[] }> {
  const server = createServer({ pauseOnConnect: true }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const [socket] = await accepted;
  t.after(() => {
    socket.destroy();
    client.destroy();
    server.close();
  });
  const received: Buffer[] = [];
  client.on('data', (chunk: Buffer) => received.push(chunk));
  const sink: Sink = {
    socket,
    moved: () => undefined,
    async write(chunk) {
      const { promise, resolve } = Promise.withResolvers<undefined>();
      socket.write(chunk, () => {
        resolve(undefined);
      });
      await promise;
    },
  };
  return { sink, client, received };
}

/** Sends the content in one of its ways. `received` grows as bytes come. */
async function send(
  t: TestContext,
  content: GrowingBlob,
  way: (typeof WAYS)[number],
): Promise<{ readonly received: Buffer[]; readonly done: Promise<void> }> {
  if (way === 'moveTo') {
    const { sink, received, client } = await makeSink(t);
    assert.ok(content.moveTo !== undefined);
    const done = content.moveTo(sink).then(async () => {
      sink.socket.end();
      await once(client, 'end');
    });
    return { received, done };
  }
  const received: Buffer[] = [];
  const done = (async () => {
    for await (const chunk of content.body) received.push(Buffer.from(chunk));
  })();
  return { received, done };
}

function assertIs(received: readonly Buffer[], start: number, end: number): void {
  assert.ok(Buffer.concat(received).equals(BYTES.subarray(start, end)));
}

for (const way of WAYS) {
  describe(`GrowingBlob, by ${way}`, { skip: process.platform !== 'linux' && 'Linux only' }, () => {
    it('sends at once what is there, and the rest as it arrives, until the commit', async (t) => {
      const { content, download, store, follower } = await grow(t);
      assert.deepEqual(content.descriptor.size, TOTAL);
      const { received, done } = await send(t, content, way);
      for (let there = PART; ; there += PART / 2) {
        await eventually(() => {
          assertIs(received, 0, there);
        });
        if (there === TOTAL) break;
        assert.ok(content.isWaiting);
        await download.write(BYTES.subarray(there, there + PART / 2));
      }
      await download.commit();
      store.putBlob(BYTES);
      await done;
      follower.mark();
      assert.ok(follower.isBeyond(TOTAL - 1) && !follower.isBeyond(TOTAL));
    });

    it('waits for a range that begins beyond what is there', async (t) => {
      const range = { start: PART + 500_000, end: TOTAL - 11 };
      const { content, download } = await grow(t, { range });
      const { received, done } = await send(t, content, way);
      await download.write(BYTES.subarray(PART, PART + 500_000));
      await eventually(() => {
        assert.ok(content.isWaiting && content.waits > 0);
      });
      assert.deepEqual(received, []);
      await download.write(BYTES.subarray(PART + 500_000));
      await done;
      assertIs(received, range.start, range.end + 1);
    });

    it('ends after the last byte of a range that is there, without waiting', async (t) => {
      const { content } = await grow(t, { range: { start: 5, end: 999_999 } });
      const { received, done } = await send(t, content, way);
      await done;
      assertIs(received, 5, 1_000_000);
      assert.equal(content.waits, 1);
    });

    it('goes on after a commit which the store gets to know a little later', async (t) => {
      const { content, download, store } = await grow(t);
      await download.write(BYTES.subarray(PART));
      await download.commit();
      const { received, done } = await send(t, content, way);
      await new Promise(setImmediate);
      store.putBlob(BYTES);
      await done;
      assertIs(received, 0, TOTAL);
    });

    it('fails when the download is given up', async (t) => {
      const { content, download } = await grow(t);
      const { received, done } = await send(t, content, way);
      const failed = assert.rejects(done, /given up/);
      await eventually(() => {
        assertIs(received, 0, PART);
      });
      await download.abort();
      await failed;
    });

    it('fails when whole bytes were removed that the store does not get to know', async (t) => {
      const { content, download } = await grow(t);
      await download.write(BYTES.subarray(PART));
      await download.abort();
      const { done } = await send(t, content, way);
      await assert.rejects(done, /given up/);
    });

    it('fails with the reason for which its follower is ended', async (t) => {
      const { content, follower } = await grow(t);
      const { received, done } = await send(t, content, way);
      const reason = new Error('too slow');
      const failed = assert.rejects(done, (error) => error === reason);
      await eventually(() => {
        assertIs(received, 0, PART);
      });
      assert.equal(content.ended, follower.ended);
      follower.end(reason);
      await failed;
    });

    it('sends what is forwarded before the file has it, and counts it', async (t) => {
      const { content, download, follower, forward } = await grow(t);
      const { received, done } = await send(t, content, way);
      forward(PART, PART + 200_001);
      await eventually(() => {
        assertIs(received, 0, PART + 200_001);
      });
      await eventually(() => {
        follower.mark();
        assert.ok(follower.isBeyond(PART + 200_000) && !follower.isBeyond(PART + 200_001));
      });
      await download.write(BYTES.subarray(PART, PART + 100_000));
      forward(PART + 200_001, PART + 300_000);
      await download.write(BYTES.subarray(PART + 100_000, PART + 400_000));
      await eventually(() => {
        assertIs(received, 0, PART + 400_000);
      });
      forward(PART + 300_000, PART + 500_000);
      await download.write(BYTES.subarray(PART + 400_000, TOTAL - 10));
      forward(PART + 500_000, TOTAL);
      await done;
      assertIs(received, 0, TOTAL);
    });

    it('sends the first bytes from the tail when the file has none', async (t) => {
      const range = { start: PART + 500_000, end: TOTAL - 1 };
      const { content, download, forward } = await grow(t, { range });
      const { received, done } = await send(t, content, way);
      forward(PART, PART + 500_001);
      await eventually(() => {
        assertIs(received, PART + 500_000, PART + 500_001);
      });
      await download.write(BYTES.subarray(PART));
      await done;
      assertIs(received, PART + 500_000, TOTAL);
    });

    it('gives the memory back when it is disposed of in the middle', async (t) => {
      const { content, tails, forward } = await grow(t);
      const { received, done } = await send(t, content, way);
      const failed = assert.rejects(done);
      forward(PART, PART + 100);
      await eventually(() => {
        assertIs(received, 0, PART + 100);
      });
      assert.ok(tails.bytes > 0);
      await content.held[Symbol.asyncDispose]();
      assert.equal(tails.bytes, 0);
      await failed;
    });

    it('ends when the client leaves', async (t) => {
      const { content, gone } = await grow(t);
      const { done } = await send(t, content, way);
      const failed = assert.rejects(done, /left/);
      gone.abort(new Error('left'));
      await failed;
    });
  });
}

describe('GrowingBlob', () => {
  it('leaves its place and closes the file when it is disposed of', async (t) => {
    const { content, left, follower, ingest } = await grow(t);
    await content.held[Symbol.asyncDispose]();
    assert.deepEqual(left, [follower]);
    await assert.rejects(ingest.waitForMore(0, new AbortController().signal), /closed/);
  });

  it('is not moved by the kernel when it is short, in no file, or there is no kernel', async (t) => {
    const range = { start: 0, end: 256 * 1024 - 2 };
    const { content } = await grow(t, { range });
    assert.equal(content.moveTo, undefined);
    const none = await grow(t, { dataPlane: { kernel: () => undefined } });
    assert.equal(none.content.moveTo, undefined);
    const ingests = new MemoryIngests();
    ingests.begin(DIGEST, TOTAL).write(BYTES);
    const ingest = await ingests.open(DIGEST);
    assert.ok(hasTotal(ingest));
    const progress = (): Promise<IngestProgress> => ingest.progress();
    const follower = new Follower({ progress, onLeave: () => undefined }, WHOLE);
    const dataPlane = new DataPlane({ logger: quiet });
    const parts = { ingest, store: new MemoryStore(), follower, dataPlane };
    const memory = new GrowingBlob(parts, WHOLE, new AbortController().signal);
    assert.equal(memory.moveTo, undefined);
    assert.equal((await buffer(memory.body)).length, TOTAL);
  });

  it('goes on as a stream where the kernel cannot move it', async (t) => {
    const kernel = { sendFile: () => Promise.resolve('unsupported') } as unknown as Kernel;
    const { content, download } = await grow(t, { dataPlane: { kernel: () => kernel } });
    const { received, done } = await send(t, content, 'moveTo');
    await download.write(BYTES.subarray(PART));
    await done;
    assertIs(received, 0, TOTAL);
  });

  it('fails when the file is shorter than what was to be sent', async (t) => {
    const { content, download } = await grow(t);
    await download.write(BYTES.subarray(PART)); // More than is read ahead.
    const { body } = content;
    const iterator = body[Symbol.asyncIterator]();
    await iterator.next();
    await download.restart();
    await assert.rejects(async () => {
      for (let done: boolean | undefined = false; done !== true;)
        ({ done } = await iterator.next());
    });
  });
});
