import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { createMetrics } from '../../metrics/metrics.ts';
import type { MovedChunk } from '../../native/splice.ts';
import type { Digest } from '../../oci/digest.ts';
import { makeImage, putImage } from '../../testing/image.ts';
import {
  FixedRouter,
  providerOf,
  startMirror,
  type MirrorNode,
} from '../../testing/mirror-node.ts';
import { peerResponse } from '../../testing/peer-response.ts';
import { quiet } from '../../testing/quiet.ts';
import { connectTo } from '../../testing/raw-http.ts';
import { responseHead, startRogue, type RoguePeer } from '../../testing/rogue-peer.ts';
import { testTls } from '../../testing/test-tls.ts';
import { PeerClient, type PeerResponse } from '../client/peer-client.ts';
import { PeerAttempts } from '../select/peer-attempts.ts';
import { createSharedState } from '../select/shared-state.ts';
import { TransferRecord } from '../verify/transfer-record.ts';
import { ResumingBody } from './resuming-body.ts';

const SIZE = 8_000_000;
const CUT = 3_000_000;
const never = new AbortController().signal;
const image = makeImage(SIZE);
const [digest] = image.layers as [Digest];
const bytes = image.blobs.get(digest) ?? Buffer.alloc(0);
const wholeHead = responseHead(200, { 'content-length': SIZE, 'docker-content-digest': digest });

interface Pulled {
  readonly status: number;
  readonly body: Buffer;
  readonly node: MirrorNode;
}

/** Pulls the blob from the first peer, and from an honest holder where that fails. */
async function pullPast(peer: RoguePeer, headers: Record<string, string> = {}): Promise<Pulled> {
  await using honest = await startMirror();
  putImage(honest.store, image);
  const router = new FixedRouter(providerOf('peer', peer), providerOf('honest', honest));
  await using node = await startMirror({ router, headTimeout: 300, stallTimeout: 300 });
  const response = await fetch(`${node.origin}/v2/team/app/blobs/${digest}`, { headers });
  const body = Buffer.from(await response.arrayBuffer());
  return { status: response.status, body, node };
}

async function resumes({ metrics }: MirrorNode): Promise<Record<string, number>> {
  const { values } = await metrics.resumes.get();
  return Object.fromEntries(values.map(({ labels, value }) => [String(labels.result), value]));
}

describe('ResumingBody', () => {
  const faults: Record<string, Parameters<typeof startRogue>[0]> = {
    'closes the connection in the middle': (socket) => socket.end(bytes.subarray(0, CUT)),
    'resets the connection in the middle': (socket) =>
      socket.write(bytes.subarray(0, CUT), () => socket.resetAndDestroy()),
    'stalls in the middle': (socket) => socket.write(bytes.subarray(0, CUT)),
    'closes the connection before the last byte': (socket) =>
      socket.end(bytes.subarray(0, SIZE - 1)),
  };
  for (const [fault, behave] of Object.entries(faults)) {
    it(`continues at the next byte from another peer when one ${fault}`, async () => {
      await using peer = await startRogue((socket, request) => {
        socket.write(wholeHead);
        behave(socket, request);
      });
      const { status, body, node } = await pullPast(peer);
      assert.equal(status, 200);
      assert.ok(body.equals(bytes));
      assert.deepEqual(await resumes(node), { resumed: 1 });
    });
  }

  describe('when a peer trickles', () => {
    /** A peer that sends 20 kB a second, and the whole rest at once when `faster` resolves. */
    const startTrickling = (faster?: Promise<void>): Promise<RoguePeer> =>
      startRogue((socket) => {
        socket.write(wholeHead);
        let sent = 0;
        const send = (length: number) => socket.write(bytes.subarray(sent, (sent += length)));
        const drip = setInterval(() => send(1_000), 50);
        void faster?.then(() => {
          clearInterval(drip);
          send(SIZE);
        });
        socket.on('close', () => {
          clearInterval(drip);
        });
      });

    it('continues from another one', async () => {
      await using slow = await startTrickling();
      await using honest = await startMirror();
      putImage(honest.store, image);
      const router = new FixedRouter(providerOf('slow', slow), providerOf('honest', honest));
      await using node = await startMirror({ router });
      const response = await fetch(`${node.origin}/v2/team/app/blobs/${digest}`);
      assert.ok(Buffer.from(await response.arrayBuffer()).equals(bytes));
      assert.deepEqual(await resumes(node), { switched: 1 });
      assert.equal(slow.requests.length, 1);
    });

    it('keeps it until another one has begun to answer', async () => {
      const asked = Promise.withResolvers<undefined>();
      await using slow = await startTrickling(asked.promise);
      await using silent = await startRogue(() => {
        asked.resolve(undefined);
      });
      const router = new FixedRouter(providerOf('slow', slow), providerOf('silent', silent));
      await using node = await startMirror({ router });
      const response = await fetch(`${node.origin}/v2/team/app/blobs/${digest}`);
      assert.ok(Buffer.from(await response.arrayBuffer()).equals(bytes));
      assert.deepEqual(await resumes(node), {});
      assert.equal(slow.requests.length, 1);
    });
  });

  it('ends a body that trickles also where the peer is followed, and says so', async () => {
    await using honest = await startMirror();
    putImage(honest.store, image);
    const client = new PeerClient({ userAgent: 'test', ...(testTls && { tls: testTls }) });
    await using ends = new AsyncDisposableStack();
    ends.defer(() => client.close());
    const metrics = createMetrics();
    const shared = createSharedState({ metrics, logger: quiet });
    const events: string[] = [];
    const router = Object.assign(new FixedRouter(providerOf('honest', honest)), {
      trickled: (key: string) => events.push(`trickled ${key}`),
      failed: (_: string, peerId: string) => events.push(`failed ${peerId}`),
    });
    const attempts = new PeerAttempts(
      { kind: 'blob', method: 'GET', registry: '', repository: 'team/app', digest },
      { router, client, metrics, logger: quiet, shared },
      { resolveTimeout: 1_000, resolveRetries: 0, firstByteBudget: 5_000, follows: true },
    );
    const first = { provider: { peerId: 'slow', origins: [] }, response: peerResponse(bytes, []) };
    const record = new TransferRecord(attempts.request, first.response.descriptor);
    const read = async function* ({ origin, body }: PeerResponse): AsyncGenerator<MovedChunk> {
      if (origin !== honest.origin) {
        yield { length: 60_000, waited: 10_001 };
        yield { length: 60_000, waited: 1 };
      }
      for await (const { length } of body as AsyncIterable<Buffer>) yield { length, waited: 1 };
    };
    const body = new ResumingBody({ attempts, record, metrics }, { first, read }, never);
    let length = 0;
    for await (const chunk of body) length += chunk.length;
    assert.equal(length, SIZE);
    assert.deepEqual(events, [`trickled ${digest}`, 'failed slow']);
  });

  it('keeps the rate at which it left a peer, whatever that delivered before', async () => {
    await using honest = await startMirror();
    putImage(honest.store, image);
    const client = new PeerClient({ userAgent: 'test', ...(testTls && { tls: testTls }) });
    await using ends = new AsyncDisposableStack();
    ends.defer(() => client.close());
    const metrics = createMetrics();
    const shared = createSharedState({ metrics, logger: quiet });
    const router = new FixedRouter(providerOf('honest', honest));
    const attempts = new PeerAttempts(
      { kind: 'blob', method: 'GET', registry: '', repository: 'team/app', digest },
      { router, client, metrics, logger: quiet, shared },
      { resolveTimeout: 1_000, resolveRetries: 0, firstByteBudget: 5_000 },
    );
    const first = { provider: { peerId: 'slow', origins: [] }, response: peerResponse(bytes, []) };
    const record = new TransferRecord(attempts.request, first.response.descriptor);
    const read = async function* ({ origin, body }: PeerResponse): AsyncGenerator<MovedChunk> {
      if (origin !== honest.origin) {
        yield { length: SIZE / 2, waited: 3_000 };
        yield { length: 600, waited: 6_000 };
      }
      for await (const { length } of body as AsyncIterable<Buffer>) yield { length, waited: 1 };
    };
    const moved = new ResumingBody({ attempts, record, metrics }, { first, read }, never);
    let length = 0;
    for await (const chunk of moved) length += chunk.length;
    assert.equal(length, SIZE);
    assert.equal(shared.scoreboard.rateOf('slow', 0), 100);
  });

  it('continues a range that the client requested, too', async () => {
    await using peer = await startRogue((socket) => {
      const range = `bytes 1000-${SIZE - 1}/${SIZE}`;
      socket.write(responseHead(206, { 'content-length': SIZE - 1000, 'content-range': range }));
      socket.end(bytes.subarray(1000, CUT));
    });
    const { status, body } = await pullPast(peer, { range: 'bytes=1000-' });
    assert.equal(status, 206);
    assert.ok(body.equals(bytes.subarray(1000)));
  });

  it('does not count it as a resume when a predicted range ends', async () => {
    await using peer = await startRogue((socket, request) => {
      const [, first = '0', last] = /^range: bytes=(\d+)-(\d*)/im.exec(request) ?? [];
      const [start, end] = [Number(first), last ? Number(last) : SIZE - 1];
      const range = `bytes ${start}-${end}/${SIZE}`;
      const head = responseHead(206, { 'content-length': end - start + 1, 'content-range': range });
      socket.write(Buffer.concat([Buffer.from(head), bytes.subarray(start, end + 1)]));
    });
    await using node = await startMirror({ router: new FixedRouter(providerOf('peer', peer)) });
    const url = `${node.origin}/v2/team/app/blobs/${digest}`;
    await (await fetch(url, { headers: { range: 'bytes=0-' } })).body?.cancel();
    const response = await fetch(url, { headers: { range: `bytes=${CUT}-` } });
    assert.ok(Buffer.from(await response.arrayBuffer()).equals(bytes.subarray(CUT)));
    assert.ok(peer.requests.length > 2, 'it came in more than one range');
    assert.deepEqual(await resumes(node), {});
  });

  it('refuses a peer that has another size than the one before', async () => {
    await using first = await startRogue((socket) => {
      socket.write(wholeHead);
      socket.end(bytes.subarray(0, CUT));
    });
    await using other = await startRogue((socket, request) => {
      const start = Number(/^range: bytes=(\d+)-/im.exec(request)?.[1] ?? 0);
      const range = `bytes ${start}-${SIZE - 1}/${SIZE + 1}`;
      socket.write(responseHead(206, { 'content-length': SIZE - start, 'content-range': range }));
      socket.write(Buffer.alloc(SIZE - start));
    });
    const peers = [providerOf('first', first), providerOf('other', other)];
    await using node = await startMirror({ router: new FixedRouter(...peers) });
    await assert.rejects(
      fetch(`${node.origin}/v2/team/app/blobs/${digest}`).then((it) => it.arrayBuffer()),
    );
    assert.deepEqual(await resumes(node), { broken: 1 });
  });

  it('ends short of the declared length, by FIN, when no peer is left', async () => {
    await using peer = await startRogue((socket) => {
      socket.write(wholeHead);
      socket.end(bytes.subarray(0, CUT));
    });
    await using node = await startMirror({ router: new FixedRouter(providerOf('peer', peer)) });
    const socket = await connectTo(node.origin);
    socket.write(`GET /v2/team/app/blobs/${digest} HTTP/1.1\r\nhost: x\r\n\r\n`);
    const chunks: Buffer[] = [];
    // A reset would make the loop throw.
    for await (const chunk of socket) chunks.push(chunk as Buffer);
    const received = Buffer.concat(chunks);
    const body = received.subarray(received.indexOf('\r\n\r\n') + 4);
    assert.equal(body.length, CUT);
    assert.ok(body.equals(bytes.subarray(0, CUT)));
  });
});
