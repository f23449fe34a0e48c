import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { buffer } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';

import type { TailWriter } from '../content/tail-writer.ts';
import type { ContentRequest } from '../oci/content-request.ts';
import type { Ingests } from '../store/ingests.ts';
import { sha256 } from '../testing/image.ts';
import { FixedRouter, providerOf } from '../testing/mirror-node.ts';
import { responseHead, startRogue } from '../testing/rogue-peer.ts';
import { startTransfer } from '../testing/transfer-fixture.ts';
import { unreadIngest } from '../testing/unread-ingest.ts';
import { ChunkPlan } from './body/chunk-sizes.ts';

const SIZE = 10_000_000;
/** Longer than a look-up of holders may take with the bounds of the fixture, 0.8 s. */
const NAMED_AFTER_MS = 1_200;
const never = new AbortController().signal;
const request: ContentRequest = {
  kind: 'blob',
  method: 'GET',
  registry: '',
  repository: 'team/app',
  digest: sha256(Buffer.alloc(SIZE)),
};

/** The ranges that a peer is asked for when its client opens two ranges, 1 MB apart. */
async function rangesAsked(predicts: boolean): Promise<string[]> {
  await using peer = await startRogue((socket, text) => {
    const [, first = '0', last] = /^range: bytes=(\d+)-(\d*)/im.exec(text) ?? [];
    const [start, end] = [Number(first), last ? Number(last) : SIZE - 1];
    const headers = {
      'content-length': end - start + 1,
      'content-range': `bytes ${start}-${end}/${SIZE}`,
    };
    socket.write(responseHead(206, headers));
    socket.write(Buffer.alloc(1_000));
  });
  await using fixture = startTransfer({
    router: new FixedRouter(providerOf('peer', peer)),
    ...(!predicts && { chunkSizes: { begin: () => new ChunkPlan(undefined) } }),
  });
  for (const start of [0, 1_000_000]) {
    const client = new AbortController();
    const content = await fixture.transfer.fetch(
      { ...request, range: { kind: 'from', start } },
      client.signal,
    );
    assert.equal(content?.kind, 'stream');
    client.abort();
  }
  return peer.requests.map((text) => /^range: (\S+)/im.exec(text)?.[1] ?? '');
}

describe('createPeerTransfers', () => {
  it('predicts the chunks of the client by default', async () => {
    assert.deepEqual(await rangesAsked(true), ['bytes=0-', 'bytes=1000000-1999999']);
  });

  it('requests what the client requests with another source of chunk sizes', async () => {
    assert.deepEqual(await rangesAsked(false), ['bytes=0-', 'bytes=1000000-']);
  });

  it('gives a transfer without providers and blocked peers', async () => {
    await using fixture = startTransfer();
    assert.equal(await fixture.transfer.fetch(request, never), undefined);
    assert.deepEqual(fixture.transfer.blocklist.status(), []);
  });
});

describe('a transfer that follows', () => {
  it('waits for as long as a node asks that leaves the fetch to another one', async () => {
    const bytes = Buffer.from('layer');
    await using peer = await startRogue((socket) => {
      socket.write(responseHead(200, { 'content-length': bytes.length }));
      socket.write(bytes);
    });
    await using fixture = startTransfer();
    const named = providerOf('peer', peer);
    const router = {
      async *lookup() {
        await sleep(NAMED_AFTER_MS);
        yield named;
      },
      forget: () => undefined,
    };
    // Less than that time: what the arbiter takes is not taken from the time of the peer.
    const transfer = fixture.following(router, { firstByteBudget: NAMED_AFTER_MS / 2 });
    const content = await transfer.fetch({ ...request, digest: sha256(bytes) }, never);
    assert.ok(content?.kind === 'whole' && content.bytes.equals(bytes));
  });
});

/** Of a store that commits what arrives. */
const ingests: Ingests = {
  has: () => Promise.resolve(true),
  open: (digest) =>
    Promise.resolve({
      ...{ ...unreadIngest, digest },
      state: () => Promise.resolve('whole'),
      verify: () => Promise.resolve(true),
      abort: () => Promise.resolve(true),
      [Symbol.asyncDispose]: () => Promise.resolve(),
    }),
};

describe('a transfer that takes content for others', () => {
  it('gives a blob as it arrives that is otherwise verified first, and others a copy', async () => {
    const bytes = Buffer.alloc(1_000_000, 'layer');
    const begun = Promise.withResolvers<undefined>();
    await using peer = await startRogue((socket, text) => {
      socket.write(responseHead(200, { 'content-length': bytes.length }));
      if (!text.startsWith('GET')) return;
      socket.write(bytes.subarray(0, 300_000));
      void begun.promise.then(() => socket.write(bytes.subarray(300_000)));
    });
    await using fixture = startTransfer({
      router: new FixedRouter(providerOf('peer', peer)),
      ingests,
    });
    const copies: (readonly [number, number])[] = [];
    let ended = 0;
    const tails: TailWriter = {
      begin: () => ({
        isWanted: true,
        append: (offset, { length }) => copies.push([offset, length]),
        [Symbol.dispose]: () => (ended += 1),
      }),
    };
    // No rate is known yet.
    const transfer = fixture.taking({ tails, verifiedSize: 512 * 1024, verifiedMs: 300_000 });
    const content = await transfer.fetch({ ...request, digest: sha256(bytes) }, never);
    assert.ok(content?.kind === 'stream', 'before all of it has come');
    begun.resolve(undefined);
    assert.ok((await buffer(content.body)).equals(bytes));
    let end = 0;
    for (const [offset, length] of copies) {
      assert.equal(offset, end);
      end += length;
    }
    assert.deepEqual([end, ended], [bytes.length, 1]);
  });

  it('verifies a blob first that is there at once at the rate of the bodies before it', async () => {
    const blobs = ['first', 'second', 'third'].map((text) => Buffer.alloc(1_000_000, text));
    await using peer = await startRogue((socket, text) => {
      const wanted = blobs.find((each) => text.includes(sha256(each))) ?? Buffer.of();
      socket.write(responseHead(200, { 'content-length': wanted.length }));
      if (text.startsWith('GET')) socket.write(wanted);
    });
    await using fixture = startTransfer({
      router: new FixedRouter(providerOf('peer', peer)),
      ingests,
    });
    const kinds: unknown[] = [];
    // The first body gives the rate.
    for (const [index, verifiedMs] of [300_000, 0, 300_000].entries()) {
      const blob = blobs[index] ?? Buffer.of();
      const source = fixture.taking({ verifiedSize: 512 * 1024, verifiedMs });
      const content = await source.fetch({ ...request, digest: sha256(blob) }, never);
      kinds.push(content?.kind);
      if (content?.kind === 'stream') assert.ok((await buffer(content.body)).equals(blob));
      else if (content?.kind === 'whole') content.reservation?.[Symbol.dispose]();
    }
    assert.deepEqual(kinds, ['stream', 'stream', 'whole']);
  });
});
