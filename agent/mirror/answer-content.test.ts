import assert from 'node:assert/strict';
import { Socket } from 'node:net';
import { PassThrough, Readable } from 'node:stream';
import { describe, it, type TestContext } from 'node:test';

import { pino } from 'pino';

import type { Content, ContentStream } from '../content/content-source.ts';
import { createMetrics, type Metrics } from '../metrics/metrics.ts';
import type { Sink } from '../native/sink.ts';
import type { ContentRequest } from '../oci/content-request.ts';
import { MEDIA_TYPE } from '../oci/media-type.ts';
import { eventually } from '../testing/eventually.ts';
import { sha256 } from '../testing/image.ts';
import { listen } from '../testing/listen.ts';
import { answerContent } from './answer-content.ts';
import { PeerUploads, type PeerUploadsInit } from './peer-uploads.ts';

const bytes = Buffer.from('0123456789');
const digest = sha256(bytes);
const BASE = {
  descriptor: { mediaType: MEDIA_TYPE.binary, digest, size: bytes.length },
  origin: 'http://peer:5000',
};

/** Content whose bytes come as a stream. */
function stream(change: Partial<ContentStream> = {}): Content {
  return { ...BASE, kind: 'stream', body: Readable.from([bytes]), ...change };
}

interface Stage {
  readonly origin: string;
  readonly metrics: Metrics;
  /** What the answers came to: whether there was one, or the error that was thrown. */
  readonly results: unknown[];
  readonly lines: string[];
}

interface AnsweringInit {
  readonly fromPeer?: boolean;
  readonly uploads?: PeerUploadsInit;
  /** What a request has besides its method and digest. */
  readonly request?: Partial<ContentRequest>;
}

/** A listener that answers each request with the content. */
async function answering(
  t: TestContext,
  content: () => Content,
  { fromPeer = false, uploads = {}, request = {} }: AnsweringInit = {},
): Promise<Stage> {
  const metrics = createMetrics();
  const [results, lines] = [[] as unknown[], [] as string[]];
  const components = {
    metrics,
    uploads: new PeerUploads({ metrics }, uploads),
    logger: pino({}, { write: (line) => lines.push(line) }),
  };
  const origin = await listen(t, async (req, res, signal) => {
    const asked: ContentRequest = {
      ...{ kind: 'blob', method: req.method === 'HEAD' ? 'HEAD' : 'GET', digest },
      ...{ registry: 'registry.example', repository: 'team/app' },
      ...request,
    };
    const exchange = { request: asked, fromPeer, res, signal };
    const answer = answerContent(content(), exchange, components);
    results.push(await answer.catch((error: unknown) => error));
    if (!res.headersSent) res.writeHead(500).end();
  });
  return { origin, metrics, results, lines };
}

describe('answerContent', () => {
  for (const [kind, content] of [
    ['whole', (): Content => ({ ...BASE, kind: 'whole', bytes })],
    ['stream', stream],
  ] as const) {
    it(`sends head and body of content that comes as ${kind}`, async (t) => {
      const { origin, results } = await answering(t, content);
      const response = await fetch(origin);
      assert.equal(response.status, 200);
      const expected = {
        ...{ 'docker-content-digest': digest, 'content-type': MEDIA_TYPE.binary },
        ...{ 'accept-ranges': 'bytes', 'x-peerglass-source': BASE.origin },
        ...{ 'oci-namespace': 'registry.example', 'content-length': '10' },
      };
      for (const [name, value] of Object.entries(expected)) {
        assert.equal(response.headers.get(name), value, name);
      }
      assert.equal(await response.text(), bytes.toString());
      assert.deepEqual(results, [true]);
    });
  }

  it('takes the range out of content that comes whole', async (t) => {
    const content = (): Content => ({ ...BASE, kind: 'whole', bytes });
    const request = { range: { kind: 'last', length: 3 } } as const;
    const { origin } = await answering(t, content, { request });
    const response = await fetch(origin);
    assert.equal(response.status, 206);
    assert.equal(response.headers.get('content-range'), 'bytes 7-9/10');
    assert.equal(await response.text(), '789');
  });

  it('refuses a range beyond the content with RANGE_INVALID and the size, before the body is opened', async (t) => {
    const request = { range: { kind: 'from', start: 10 } } as const;
    const content = (): Content =>
      stream({ ready: () => Promise.reject(new Error('must not be opened')) });
    const { origin, results, lines } = await answering(t, content, { request });
    const response = await fetch(origin);
    assert.equal(response.headers.get('content-range'), 'bytes */10');
    assert.equal((results[0] as { code?: unknown }).code, 'RANGE_INVALID');
    assert.deepEqual(lines, []);
  });

  it('has no answer, and sends nothing, when the body cannot be read', async (t) => {
    const content = (): Content => stream({ ready: () => Promise.reject(new Error('disk')) });
    const { origin, results, lines } = await answering(t, content);
    assert.equal((await fetch(origin)).status, 500);
    assert.deepEqual(results, [false]);
    assert.match(lines.join(''), /disk/);
  });

  it('has the kernel move a stream over a plain connection, unless it is paced', async (t) => {
    const ways: string[] = [];
    const content = (): Content =>
      stream({
        ready: (way) => {
          ways.push(way);
          return Promise.resolve();
        },
        moveTo: (sink: Sink) => sink.write(bytes),
      });
    const plain = await answering(t, content);
    assert.equal(await (await fetch(plain.origin)).text(), bytes.toString());
    const init = { fromPeer: true, uploads: { limit: 1_000_000 } };
    const paced = await answering(t, content, init);
    assert.equal(await (await fetch(paced.origin)).text(), bytes.toString());
    assert.deepEqual(ways, ['moveTo', 'body']);
  });

  describe('with content that is still arriving', () => {
    it('answers bytes=0- with 200, so that containerd does not ask for chunks, and other ranges with 206', async (t) => {
      for (const [start, status] of [
        [0, 200],
        [1, 206],
      ] as const) {
        const request = { range: { kind: 'from', start } } as const;
        const part = (): Content => ({
          ...stream({ body: Readable.from([bytes.subarray(start)]) }),
          isGrowing: true,
        });
        const { origin } = await answering(t, part, { request });
        const response = await fetch(origin);
        assert.equal(response.status, status);
        assert.equal(response.headers.has('content-range'), status === 206);
        assert.equal(await response.text(), bytes.subarray(start).toString());
      }
      const beyond = { range: { kind: 'from', start: 10 } } as const;
      const grown = (): Content => ({ ...stream(), isGrowing: true });
      const { origin, results } = await answering(t, grown, { request: beyond });
      await (await fetch(origin)).body?.cancel();
      assert.equal((results[0] as { code?: unknown }).code, 'RANGE_INVALID');
    });

    it('sends the head before the first byte', async (t) => {
      const body = new PassThrough();
      const { origin } = await answering(t, () => ({ ...stream({ body }), isGrowing: true }));
      const response = await fetch(origin);
      assert.equal(response.headers.get('content-length'), '10');
      body.end(bytes);
      assert.equal(await response.text(), bytes.toString());
    });

    it('names its connection, and does not wait for the client when the body is to end', async (t) => {
      const sockets: unknown[] = [];
      const ended = new AbortController();
      const growth = {
        ...{ isWaiting: false, waits: 0, ended: ended.signal },
        attach: (socket: unknown) => sockets.push(socket),
      };
      async function* endless(): AsyncGenerator<Buffer> {
        for (;;) {
          await Promise.resolve();
          ended.signal.throwIfAborted();
          yield Buffer.alloc(64 * 1024);
        }
      }
      const descriptor = { ...BASE.descriptor, size: 2 ** 40 };
      const { origin, results } = await answering(t, () => ({
        ...stream({ body: endless(), growth }),
        ...{ descriptor, isGrowing: true },
      }));
      const response = await fetch(origin);
      assert.ok(sockets[0] instanceof Socket);
      ended.abort(new Error('enough'));
      await eventually(() => {
        assert.match(String(results[0]), /enough/);
      });
      await assert.rejects(response.arrayBuffer());
    });
  });

  it('counts the bytes that peers get, and no others', async (t) => {
    for (const [fromPeer, count] of [
      [true, 10],
      [false, undefined],
    ] as const) {
      const { origin, metrics } = await answering(t, stream, { fromPeer });
      await (await fetch(origin)).arrayBuffer();
      const { values } = await metrics.peerBytes.get();
      assert.equal(values.find(({ labels }) => labels.direction === 'sent')?.value, count);
    }
  });
});
