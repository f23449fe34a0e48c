import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import type { BodyTail, TailWriter } from '../../content/tail-writer.ts';
import type { DataPlaneMode } from '../../native/data-plane.ts';
import type { ByteRange } from '../../oci/byte-range.ts';
import type { Digest } from '../../oci/digest.ts';
import { eventually } from '../../testing/eventually.ts';
import { sha256 } from '../../testing/image.ts';
import {
  BYTES,
  DIGEST,
  SIZE,
  STEP_MS,
  throttled,
  trickle,
  WIDENING,
  WINDOW,
  writeHead,
  type Fault,
  type Throttled,
} from '../../testing/throttled-registry.ts';
import { sendError } from '../../testing/token-registry.ts';
import { byHttp, bytesOf, requestFor, upstreamTo } from '../../testing/upstream-fixture.ts';
import { upstreamMirror } from '../../testing/upstream-mirror.ts';

/** Fetches the blob as a client that does not verify it. */
async function fetchBlob(
  t: TestContext,
  { registry }: Throttled,
  { dataPlane = 'auto' }: { readonly dataPlane?: DataPlaneMode } = {},
): Promise<Buffer> {
  const { source } = await upstreamTo(t, [byHttp(registry)], { dataPlane, widening: WIDENING });
  const request = requestFor(registry.name, 'a', { blob: DIGEST });
  return await bytesOf(await source.fetch(request, new AbortController().signal));
}

function assertWhole(bytes: Buffer): void {
  assert.ok(bytes.equals(BYTES), 'the bytes of the blob, in their order');
}

/** Followers that want all bytes, and get them into `copy`. */
function followersThatGet(copy: Buffer): TailWriter {
  const append = (offset: number, bytes: Uint8Array): void => {
    copy.set(bytes, offset);
  };
  const tail: BodyTail = { isWanted: true, append, [Symbol.dispose]: () => undefined };
  return { begin: () => tail };
}

const WRONG = Buffer.from(BYTES).fill(0, SIZE / 2);
const lies: Fault = (range, res) => trickle(res, range, { bytes: WRONG });

describe('widenedBlob', () => {
  for (const dataPlane of ['auto', 'stream'] as const) {
    it(`asks a registry that throttles for several ranges at once (${dataPlane})`, async (t) => {
      const upstream = await throttled(t);
      assertWhole(await fetchBlob(t, upstream, { dataPlane }));
      const [first, ...windows] = upstream.ranges;
      assert.deepEqual(first, { start: 0, end: SIZE - 1 });
      assert.ok(windows.length >= 2, `${windows.length} ranges`);
      // They arrive in any order. One that was late is asked for again, and the rest may come by one connection.
      let covered = Math.min(...windows.map(({ start }) => start));
      for (const { start, end } of windows.toSorted((one, other) => one.start - other.start)) {
        assert.ok(start <= covered, `no gap before ${start}`);
        assert.ok(end - start < WINDOW || end === SIZE - 1);
        covered = Math.max(covered, end + 1);
      }
      assert.equal(covered, SIZE);
      assert.ok(upstream.most() >= 2 && upstream.most() <= 5, `${upstream.most()} connections`);
    });
  }

  it('begins with four where two brought twice as much, and asks for smaller ranges at the end', async (t) => {
    // The ranges behind the first one are answered once there are three of them: two would wait in vain.
    const three = Promise.withResolvers<undefined>();
    let waiting = 0;
    const waits: Fault = async (range, res) => {
      waiting += 1;
      if (waiting === 3) three.resolve(undefined);
      await three.promise;
      await trickle(res, range);
    };
    const upstream = await throttled(t, [undefined, waits, waits, waits], () => 2 * STEP_MS);
    const init = { widening: WIDENING, timeout: 2_000 };
    const { source } = await upstreamTo(t, [byHttp(upstream.registry)], init);
    const request = requestFor(upstream.registry.name, 'a', { blob: DIGEST });
    assertWhole(await bytesOf(await source.fetch(request, new AbortController().signal)));
    assert.equal(waiting, 3);
    const [, , ...windows] = upstream.ranges;
    const small = windows.filter((it) => it.end + 1 - it.start < WINDOW);
    assert.ok(small.length > 2, `${small.length} smaller ranges`);
    assert.ok(small.every((it) => it.end + 1 - it.start >= WINDOW / 4 || it.end === SIZE - 1));
  });

  /** Asks for the blob as a client that the kernel moves it to. */
  const moved = async (
    t: TestContext,
    { registry }: Throttled,
    init: { readonly isVerifiedByClient: boolean; readonly tails?: TailWriter },
  ): Promise<{ bytes: Buffer; error: unknown }> => {
    const { isVerifiedByClient } = init;
    const { source } = await upstreamTo(t, [byHttp(registry)], { ...init, widening: WIDENING });
    const ask = await upstreamMirror(t, source);
    const get = async (blob: Digest): Promise<{ bytes: Buffer; error: unknown }> =>
      await (
        await ask(requestFor(registry.name, 'a', { blob }))
      ).done;
    // The thread that hashes is started for a large blob, and then has small ones too.
    if (!isVerifiedByClient) {
      const large = Buffer.alloc(33 * 1024 * 1024);
      registry.addBlob(large);
      assert.equal((await get(sha256(large))).bytes.length, large.length);
    }
    return await get(DIGEST);
  };

  for (const [what, isVerifiedByClient] of [
    ['a client that verifies it', true],
    ['one that does not, with a thread that hashes all of it', false],
  ] as const) {
    it(`goes on with what the kernel had begun to move to ${what}`, async (t) => {
      const upstream = await throttled(t);
      const { bytes, error } = await moved(t, upstream, { isVerifiedByClient });
      assert.equal(error, undefined);
      assertWhole(bytes);
      assert.ok(upstream.ranges.length > 2, `${upstream.ranges.length} ranges`);
    });
  }

  it('asks for several ranges at once while followers get what the kernel moves', async (t) => {
    const upstream = await throttled(t);
    const copy = Buffer.alloc(SIZE);
    const init = { isVerifiedByClient: true, tails: followersThatGet(copy) };
    const { bytes, error } = await moved(t, upstream, init);
    assert.equal(error, undefined);
    assertWhole(bytes);
    assertWhole(copy);
    assert.ok(upstream.ranges.length > 2, `${upstream.ranges.length} ranges`);
  });

  it('is not completed with wrong bytes of a range, where the kernel had begun', async (t) => {
    const upstream = await throttled(t, Array<Fault>(100).fill(lies));
    const { bytes, error } = await moved(t, upstream, { isVerifiedByClient: false });
    assert.equal((error as { reason?: unknown }).reason, 'digest');
    assert.ok(bytes.length < SIZE, `${bytes.length} bytes`);
    assert.ok(upstream.ranges.length > 2, `${upstream.ranges.length} ranges`);
  });

  it('goes back to one connection where two bring no more', async (t) => {
    // Together they are far slower than one, so that no hiccup of the machine looks like a gain.
    const upstream = await throttled(t, [], (connections) => (connections > 1 ? 50 : STEP_MS));
    assertWhole(await fetchBlob(t, upstream));
    assert.ok(upstream.most() >= 2 && upstream.most() <= 3, `${upstream.most()} connections`);
    const last = upstream.ranges.at(-1);
    assert.ok(upstream.ranges.length > 3 && last?.end === SIZE - 1);
    assert.ok(last.end - last.start > WINDOW, 'the rest at once');
  });

  const whole: Fault = (_range, res) => trickle(res, undefined);
  const elsewhere: Fault = ({ start, end }, res) =>
    trickle(res, { start: start + 1, end: end + 1 });
  const limited: Fault = (_range, res) => {
    sendError(res, 429, 'TOOMANYREQUESTS', 'too many');
  };
  for (const [what, fault] of [
    ['all of it', whole],
    ['another range', elsewhere],
    ['429', limited],
  ] as const) {
    it(`stays with one connection where a range is answered with ${what}`, async (t) => {
      const upstream = await throttled(t, [fault, fault, fault, fault]);
      assertWhole(await fetchBlob(t, upstream));
      assert.equal(upstream.ranges.length, 2);
    });

    it(`goes on with one connection where a later range is answered with ${what}`, async (t) => {
      const upstream = await throttled(t, [undefined, fault]);
      assertWhole(await fetchBlob(t, upstream));
      // Requests for windows that are not read any more may arrive behind it.
      const [, ...later] = upstream.ranges;
      const isRest = ({ start, end }: ByteRange): boolean =>
        end === SIZE - 1 && end - start > WINDOW;
      assert.ok(later.some(isRest), 'the rest at once');
    });
  }

  it('goes on at the byte where the connection of a range breaks', async (t) => {
    const breaks: Fault = (range, res) => {
      writeHead(res, range);
      res.write(BYTES.subarray(range.start, range.start + 1000), () => res.destroy());
    };
    const upstream = await throttled(t, [breaks, undefined, breaks]);
    assertWhole(await fetchBlob(t, upstream));
    const { ranges } = upstream;
    const broken = ranges[1];
    assert.ok(broken);
    const rest = { start: broken.start + 1000, end: broken.end };
    assert.ok(ranges.some(({ start, end }) => start === rest.start && end === rest.end));
  });

  it('asks anew for a range that is late while those behind it are there', async (t) => {
    const silent: Fault = (range, res) => {
      writeHead(res, range);
      res.write(BYTES.subarray(range.start, range.start + 1000));
    };
    const upstream = await throttled(t, [undefined, silent]);
    assertWhole(await fetchBlob(t, upstream));
    const late = upstream.ranges[2];
    assert.ok(late);
    const anew = upstream.ranges.filter(({ end }) => end === late.end);
    assert.ok(anew.some(({ start }) => start === late.start + 1000));
  });

  it('is not completed with wrong bytes of a range', async (t) => {
    const upstream = await throttled(t, Array<Fault>(100).fill(lies));
    await assert.rejects(fetchBlob(t, upstream), { code: 'ERR_UPSTREAM', reason: 'digest' });
  });

  it('ends all connections with the client', async (t) => {
    const upstream = await throttled(t);
    const { source } = await upstreamTo(t, [byHttp(upstream.registry)], { widening: WIDENING });
    const left = new AbortController();
    const request = requestFor(upstream.registry.name, 'a', { blob: DIGEST });
    const content = await source.fetch(request, left.signal);
    assert.equal(content?.kind, 'stream');
    const reading = async (): Promise<void> => {
      for await (const chunk of content.body) {
        if (upstream.open() > 1 && chunk.length > 0) left.abort();
      }
    };
    await assert.rejects(reading());
    assert.ok(left.signal.aborted);
    await eventually(() => {
      assert.equal(upstream.open(), 0);
    });
  });
});
