import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { describe, it, type TestContext } from 'node:test';

import type { Content } from '../content/content-source.ts';
import type { Digest } from '../oci/digest.ts';
import { MEDIA_TYPE } from '../oci/media-type.ts';
import { WrongBodyError } from '../streams/wrong-body-error.ts';
import { TokenRegistry } from '../testing/token-registry.ts';
import { byHttp, bytesOf, requestFor, upstreamTo } from '../testing/upstream-fixture.ts';

const signal = new AbortController().signal;
const LAYER = randomBytes(300_000);

/** A registry that has the layer, and content of a peer that breaks off at a byte, or gives other bytes. */
async function start(
  t: TestContext,
  { isVerifiedByClient = false } = {},
): Promise<{
  registry: TokenRegistry;
  blob: Digest;
  fromPeer: (until: number, sent?: Buffer, failure?: Error) => Content;
  finish: (content: Content, range?: { start: number; end: number }) => Promise<Content>;
}> {
  const registry = await TokenRegistry.start(t);
  const blob = registry.addBlob(LAYER);
  const { source } = await upstreamTo(t, [byHttp(registry)], { isVerifiedByClient });
  return {
    registry,
    blob,
    fromPeer(until, sent = LAYER, failure = new Error('the peer died')) {
      async function* body(): AsyncGenerator<Uint8Array> {
        for (let at = 0; at < until; at += 50_000) {
          yield await Promise.resolve(sent.subarray(at, Math.min(until, at + 50_000)));
        }
        if (until < sent.length) throw failure;
      }
      const descriptor = { mediaType: MEDIA_TYPE.binary, digest: blob, size: LAYER.length };
      const moveTo = (): Promise<void> => Promise.reject(new Error('moved'));
      return { kind: 'stream', descriptor, origin: 'http://peer', body: body(), moveTo };
    },
    finish: (content, range) =>
      source.finish(
        content,
        requestFor(
          registry.name,
          'a',
          { blob },
          range ? { range: { kind: 'between', ...range } } : {},
        ),
        signal,
      ),
  };
}

describe('finishedContent', () => {
  it('goes on from the registry at the byte where the peer died', async (t) => {
    const { registry, fromPeer, finish } = await start(t);
    assert.deepEqual(await bytesOf(await finish(fromPeer(120_000))), LAYER);
    const [stored, ...more] = registry.seen.filter(({ at }) => at === 'storage');
    assert.equal(stored?.range, 'bytes=120000-299999');
    assert.deepEqual(more, []);
  });

  it('goes on from the first byte, and to the last one of a range', async (t) => {
    const { fromPeer, finish } = await start(t);
    assert.deepEqual(await bytesOf(await finish(fromPeer(0))), LAYER);
    const part = await finish(fromPeer(70_000), { start: 0, end: 199_999 });
    assert.deepEqual(await bytesOf(part), LAYER.subarray(0, 200_000));
  });

  it('asks the registry nothing for a body that comes whole', async (t) => {
    const { registry, fromPeer, finish } = await start(t);
    assert.deepEqual(await bytesOf(await finish(fromPeer(LAYER.length))), LAYER);
    assert.deepEqual(registry.seen, []);
  });

  it('withholds the end, where the peer has sent wrong bytes before it died', async (t) => {
    const { fromPeer, finish } = await start(t);
    const wrong = Buffer.from(LAYER);
    wrong.writeUInt8((wrong.readUInt8(5) + 1) % 256, 5);
    await assert.rejects(bytesOf(await finish(fromPeer(120_000, wrong))), { reason: 'digest' });
  });

  it('does not go on from bytes that the peer says are wrong', async (t) => {
    const { registry, fromPeer, finish } = await start(t);
    const failure = new WrongBodyError('wrong');
    await assert.rejects(bytesOf(await finish(fromPeer(120_000, LAYER, failure))), failure);
    assert.deepEqual(registry.seen, []);
  });

  it('ends with the reason of the registry, where that does not have it either', async (t) => {
    const { registry, fromPeer, finish } = await start(t);
    registry.faults.registry = (_req, res) => {
      res.writeHead(503).end();
      return true;
    };
    await assert.rejects(bytesOf(await finish(fromPeer(120_000))), /answers 503/);
  });

  it('leaves containerd its own way to the rest, and content of other registries', async (t) => {
    const verifying = await start(t, { isVerifiedByClient: true });
    const content = verifying.fromPeer(120_000);
    assert.equal(await verifying.finish(content), content);
    const { source } = await upstreamTo(t, [{ registry: 'docker.io' }]);
    const other = requestFor('ghcr.io', 'a', { blob: verifying.blob });
    assert.equal(await source.finish(content, other, signal), content);
  });

  it('is not for the end of a body that its client has left', async (t) => {
    const { registry, blob, fromPeer } = await start(t);
    const { source } = await upstreamTo(t, [byHttp(registry)]);
    const left = new AbortController();
    const request = requestFor(registry.name, 'a', { blob });
    const content = await source.finish(fromPeer(120_000), request, left.signal);
    assert.equal(content.kind, 'stream');
    left.abort(new Error('left'));
    await assert.rejects(Readable.from(content.body).toArray(), /left/);
    assert.deepEqual(registry.seen, []);
  });
});
