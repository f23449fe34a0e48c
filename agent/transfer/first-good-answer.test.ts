import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';

import type { Content } from '../content/content-source.ts';
import { createMetrics } from '../metrics/metrics.ts';
import type { ContentRequest } from '../oci/content-request.ts';
import { OciError } from '../oci/errors.ts';
import { MAX_MANIFEST_BYTES } from '../oci/manifest.ts';
import type { Provider } from '../routing/router.ts';
import { eventually } from '../testing/eventually.ts';
import { makeImage, sha256 } from '../testing/image.ts';
import { FixedRouter, providerOf } from '../testing/mirror-node.ts';
import { peerResponse } from '../testing/peer-response.ts';
import { quiet } from '../testing/quiet.ts';
import { responseHead, startRogue } from '../testing/rogue-peer.ts';
import { testTls } from '../testing/test-tls.ts';
import { startTransfer, type TransferFixtureInit } from '../testing/transfer-fixture.ts';
import { ExtendableTimeout } from '../timing/extendable-timeout.ts';
import type { Digest } from '../oci/digest.ts';
import { PeerClient } from './client/peer-client.ts';
import { firstGoodAnswer } from './first-good-answer.ts';
import { PeerAttempts } from './select/peer-attempts.ts';
import { createSharedState } from './select/shared-state.ts';

const SIZE = 1_000;
const image = makeImage(SIZE);
const [digest] = image.layers as [Digest];
const bytes = image.blobs.get(digest) ?? Buffer.alloc(0);
const never = new AbortController().signal;
const request: ContentRequest = {
  kind: 'blob',
  method: 'GET',
  registry: 'registry.example',
  repository: 'team/app',
  digest,
};

/** Sends a request that no peer serves, and gives the reason as the metric has it. */
async function reasonOf(init: TransferFixtureInit): Promise<unknown> {
  await using fixture = startTransfer(init);
  assert.equal(await fixture.transfer.fetch(request, never), undefined);
  const { values } = await fixture.metrics.fallThroughs.get();
  return values.find(({ value }) => value > 0)?.labels.reason;
}

describe('firstGoodAnswer', () => {
  it('gives content that is there when its client leaves, so that the caller can free it', async () => {
    await using holder = await startRogue((socket) => {
      socket.write(responseHead(200, { 'content-length': SIZE }));
      socket.write(bytes);
    });
    const client = new PeerClient({ userAgent: 'test', ...(testTls && { tls: testTls }) });
    await using ends = new AsyncDisposableStack();
    ends.defer(() => client.close());
    const metrics = createMetrics();
    const shared = createSharedState({ metrics, logger: quiet });
    const router = new FixedRouter(providerOf('holder', holder));
    const attempts = new PeerAttempts(
      request,
      { router, client, metrics, logger: quiet, shared },
      { resolveTimeout: 1_000, resolveRetries: 0, firstByteBudget: 5_000 },
    );
    using timeout = new ExtendableTimeout(5_000);
    const leaving = new AbortController();
    const { descriptor, origin } = peerResponse(bytes, []);
    const content: Content = { kind: 'whole', descriptor, origin, bytes };
    const delivered = Promise.withResolvers<Content>();
    const deliver = (): Promise<Content> => {
      setImmediate(() => {
        // Right after the content was taken, and before the race goes on.
        void delivered.promise.then(() => {
          leaving.abort();
        });
        delivered.resolve(content);
      });
      return delivered.promise;
    };
    assert.equal(await firstGoodAnswer(attempts, deliver, timeout, leaving.signal), content);
  });

  it('reports no-provider when content routing names no peer', async () => {
    assert.equal(await reasonOf({ router: new FixedRouter() }), 'no-provider');
  });

  it('reports lookup-timeout when content routing is silent', async () => {
    const router = {
      async *lookup(_key: string, signal?: AbortSignal): AsyncGenerator<Provider> {
        await new Promise((resolve) => signal?.addEventListener('abort', resolve));
        yield* [];
      },
      forget: () => undefined,
    };
    const reason = await reasonOf({ router, resolveTimeout: 5, resolveRetries: 1 });
    assert.equal(reason, 'lookup-timeout');
  });

  it('reports providers-failed when every provider fails', async () => {
    await using rogue = await startRogue((socket) => socket.destroy());
    const router = new FixedRouter(providerOf('rogue', rogue));
    assert.equal(await reasonOf({ router }), 'providers-failed');
  });

  it('reports providers-busy when a holder is at its limit all the time', async () => {
    await using busy = await startRogue((socket) => {
      socket.write(responseHead(503, { 'content-length': 0, 'retry-after': 1 }));
    });
    const router = new FixedRouter(providerOf('busy', busy));
    assert.equal(await reasonOf({ router, firstByteBudget: 300 }), 'providers-busy');
    assert.ok(busy.requests.length > 1, 'it is asked again meanwhile');
  });

  it('throws RANGE_INVALID when a holder states that the range does not exist', async () => {
    await using holder = await startRogue((socket) => {
      const headers = { 'content-length': 0, 'content-range': `bytes */${SIZE}` };
      socket.write(responseHead(416, headers));
    });
    await using fixture = startTransfer({ router: new FixedRouter(providerOf('a', holder)) });
    const range = { kind: 'from', start: SIZE } as const;
    await assert.rejects(
      fixture.transfer.fetch({ ...request, range }, never),
      (error) => error instanceof OciError && error.code === 'RANGE_INVALID',
    );
  });

  it('asks the next peer when an answer cannot become content', async () => {
    const answer = (body: Buffer) =>
      startRogue((socket) => {
        socket.write(responseHead(200, { 'content-length': SIZE }));
        socket.write(body);
      });
    await using liar = await answer(Buffer.alloc(SIZE));
    await using holder = await answer(bytes);
    const router = new FixedRouter(providerOf('liar', liar), providerOf('holder', holder));
    await using fixture = startTransfer({ router });
    const content = await fixture.transfer.fetch(request, never);
    assert.ok(content?.kind === 'whole' && content.bytes.equals(bytes));
    assert.equal(content.origin, holder.origin);
    assert.deepEqual(router.forgotten, ['liar']);
  });

  it('asks the next peer beside one that drips, and ends the other when one has delivered', async () => {
    await using dripping = await startRogue((socket) => {
      socket.write(responseHead(200, { 'content-length': SIZE }));
      socket.write(bytes.subarray(0, 1));
    });
    await using holder = await startRogue((socket, text) => {
      socket.write(responseHead(200, { 'content-length': SIZE }));
      if (text.startsWith('GET')) socket.write(bytes);
    });
    const router = new FixedRouter(providerOf('drips', dripping), providerOf('holder', holder));
    await using fixture = startTransfer({ router });
    const content = await fixture.transfer.fetch(request, never);
    assert.ok(content?.kind === 'whole' && content.bytes.equals(bytes));
    const failures = await fixture.metrics.peerFailures.get();
    assert.ok(
      failures.values.every(({ value }) => value === 0),
      'the dripping one had time left',
    );
    const hedges = await fixture.metrics.hedges.get();
    // The race for the second answer may have had a hedge of its own.
    assert.ok(hedges.values.some(({ labels, value }) => labels.result === 'won' && value >= 1));
    await eventually(() => {
      assert.equal(dripping.open, 0);
    });
  });

  it('has one time for all holders that drip, which are asked beside each other', async () => {
    let most = 0;
    await using dripping = await startRogue((socket, text) => {
      socket.write(responseHead(200, { 'content-length': SIZE }));
      if (!text.startsWith('GET')) return;
      socket.write(bytes.subarray(0, 1));
      most = Math.max(most, dripping.open);
    });
    const holders = Array.from({ length: 40 }, (_, index) => providerOf(`p${index}`, dripping));
    const router = new FixedRouter(...holders);
    assert.equal(await reasonOf({ router, firstByteBudget: 100 }), 'providers-failed');
    const asked = dripping.requests.filter((text) => text.startsWith('GET')).length;
    // Each of them may drip for as long as the whole request: as many were asked as may be buffered at once.
    assert.ok(asked > 3 && asked <= 16, `${asked} were asked for the content`);
    assert.ok(most > 3, `${most} connections at once`);
  });

  it('reports memory-busy when the memory of this node is in use, and does not blame the peer', async () => {
    const [large, small] = [randomBytes(2_200_000), randomBytes(100_000)];
    await using holder = await startRogue((socket, text) => {
      const body = text.includes(sha256(large)) ? large : small;
      socket.write(responseHead(200, { 'content-length': body.length }));
      socket.write(body);
    });
    const router = new FixedRouter(providerOf('a', holder));
    const verifiedBuffer = { size: MAX_MANIFEST_BYTES, memory: MAX_MANIFEST_BYTES };
    await using fixture = startTransfer({ router, verifiedBuffer, firstByteBudget: 100 });
    const held = await fixture.transfer.fetch({ ...request, digest: sha256(large) }, never);
    assert.ok(held?.kind === 'whole' && held.reservation !== undefined);
    const wanted = { ...request, digest: sha256(small) };
    assert.equal(await fixture.transfer.fetch(wanted, never), undefined);
    const { values } = await fixture.metrics.fallThroughs.get();
    assert.equal(values.find(({ value }) => value > 0)?.labels.reason, 'memory-busy');
    const failures = await fixture.metrics.peerFailures.get();
    assert.ok(failures.values.every(({ value }) => value === 0));
    held.reservation[Symbol.dispose]();
    const content = await fixture.transfer.fetch(wanted, never);
    assert.ok(content?.kind === 'whole' && content.bytes.equals(small));
    content.reservation?.[Symbol.dispose]();
  });

  it('requests a manifest whole although the client requested a range of it', async () => {
    const { digest, size, mediaType } = image.manifest;
    await using holder = await startRogue((socket) => {
      socket.write(responseHead(200, { 'content-length': size, 'content-type': mediaType }));
      socket.write(image.blobs.get(digest) ?? '');
    });
    await using fixture = startTransfer({ router: new FixedRouter(providerOf('a', holder)) });
    const range = { kind: 'from', start: 5 } as const;
    const part: ContentRequest = { ...request, kind: 'manifest', digest, range };
    assert.equal((await fixture.transfer.fetch(part, never))?.kind, 'whole');
    assert.doesNotMatch(holder.requests[0] ?? '', /^range:/im);
  });
});
