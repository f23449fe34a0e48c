import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import { describe, it } from 'node:test';

import type { Content } from '../../content/content-source.ts';
import { createMetrics } from '../../metrics/metrics.ts';
import type { ContentRequest } from '../../oci/content-request.ts';
import type { Provider } from '../../routing/router.ts';
import { MemoryStore } from '../../store/memory-store.ts';
import { sha256 } from '../../testing/image.ts';
import { FixedRouter, providerOf } from '../../testing/mirror-node.ts';
import { quiet } from '../../testing/quiet.ts';
import { responseHead, startRogue } from '../../testing/rogue-peer.ts';
import { testTls } from '../../testing/test-tls.ts';
import { PeerClient } from '../client/peer-client.ts';
import { createPeerTransfers } from '../create-peer-transfer.ts';
import type { PeerTransfer } from '../peer-transfer.ts';

/** Too large to be verified before it is forwarded. */
const LARGE = randomBytes(6_000_000);
const SMALL = randomBytes(1_000);
const never = new AbortController().signal;

function requestOf(bytes: Buffer): ContentRequest {
  const name = { registry: 'registry.example', repository: 'team/app' };
  return { kind: 'blob', method: 'GET', ...name, digest: sha256(bytes) };
}

/** Names one parent after the other: the first for the first question, and so on; the last one for all that follow. */
class Parents extends FixedRouter {
  readonly failures: string[] = [];
  readonly begun: string[] = [];
  questions = 0;
  readonly #parents: Provider[];

  constructor(...parents: Provider[]) {
    super();
    this.#parents = parents;
  }

  override async *lookup(): AsyncGenerator<Provider> {
    await Promise.resolve();
    this.questions += 1;
    const [parent] = this.#parents.length > 1 ? this.#parents.splice(0, 1) : this.#parents;
    if (parent !== undefined) yield parent;
  }

  failed(_key: string, peerId: string): void {
    this.failures.push(peerId);
  }

  begins(key: string): void {
    this.begun.push(key);
  }
}

interface Following extends AsyncDisposable {
  readonly transfer: PeerTransfer;
}

function follow(
  router: Parents,
  times: { stallTimeout?: number; firstByteTimeout?: number } = {},
  verifiedSize?: number,
): Following {
  const metrics = createMetrics();
  const tls = testTls && { tls: testTls };
  const own = { userAgent: 'peerglass/test', headTimeout: 300, ...tls };
  const client = new PeerClient({ ...own, follows: true, ...times });
  const holders = new PeerClient(own);
  const components = { router: new FixedRouter(), client: holders, store: new MemoryStore() };
  const { transfer: other, following } = createPeerTransfers(
    { ...components, metrics, logger: quiet },
    { resolveTimeout: 20, resolveRetries: 3 },
  );
  return {
    transfer: following({ router, client, verifiedSize }, { firstByteBudget: 20_000 }),
    async [Symbol.asyncDispose]() {
      other.stop();
      await client.close();
      await holders.close();
    },
  };
}

async function bodyOf(content: Content | undefined): Promise<Buffer> {
  assert.equal(content?.kind, 'stream');
  assert.equal(content.isGrowing, true);
  const chunks: Uint8Array[] = [];
  for await (const chunk of content.body) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}

function answerFrom(socket: Socket, text: string, bytes: Buffer): number {
  const [, first = '0'] = /^range: bytes=(\d+)-/im.exec(text) ?? [];
  const start = Number(first);
  const range = `bytes ${start}-${bytes.length - 1}/${bytes.length}`;
  const length = { 'content-length': bytes.length - start };
  socket.write(responseHead(206, { ...length, 'content-range': range }));
  return start;
}

const PATIENCE = { timeout: 300_000 };

describe('following a peer that still receives the content', () => {
  it('begins with the head, and waits longer for the first byte than for a head', async () => {
    await using parent = await startRogue((socket) => {
      socket.write(responseHead(200, { 'content-length': LARGE.length }));
      setTimeout(() => socket.write(LARGE), 1_000);
    });
    const times = { stallTimeout: 300, firstByteTimeout: 20_000 };
    await using node = follow(new Parents(providerOf('parent', parent)), times);
    const content = await node.transfer.fetch(requestOf(LARGE), never);
    assert.deepEqual(await bodyOf(content), LARGE);
    assert.match(parent.requests[0] ?? '', /^peerglass-follow: 1\r$/m);
  });

  it('waits for small content until the peer has verified it', async () => {
    await using parent = await startRogue((socket) => {
      setTimeout(() => {
        socket.write(responseHead(200, { 'content-length': SMALL.length }));
        socket.write(SMALL);
      }, 1_000);
    });
    const router = new Parents(providerOf('parent', parent));
    await using node = follow(router);
    const content = await node.transfer.fetch(requestOf(SMALL), never);
    assert.equal(content?.kind, 'whole');
    assert.deepEqual(content.bytes, SMALL);
    assert.deepEqual(router.failures, []);
  });

  it('forwards content as it arrives that is longer than what is verified first', async () => {
    let finish = (): void => undefined;
    await using parent = await startRogue((socket) => {
      socket.write(responseHead(200, { 'content-length': SMALL.length }));
      socket.write(SMALL.subarray(0, -100));
      finish = () => socket.write(SMALL.subarray(-100));
    });
    await using node = follow(new Parents(providerOf('parent', parent)), {}, SMALL.length - 1);
    const content = await node.transfer.fetch(requestOf(SMALL), never);
    // The peer sends its last bytes only now.
    finish();
    assert.deepEqual(await bodyOf(content), SMALL);
  });

  for (const [how, end] of [
    ['breaks off', (socket: Socket) => socket.destroy()],
    ['falls silent', () => undefined],
  ] as const) {
    it(
      `asks whom to follow next when a body ${how}, and goes on at that byte`,
      PATIENCE,
      async () => {
        await using first = await startRogue((socket, text) => {
          const start = answerFrom(socket, text, LARGE);
          socket.write(LARGE.subarray(start, 2_000_001), () => {
            setTimeout(() => end(socket), 100);
          });
        });
        await using second = await startRogue((socket, text) => {
          socket.write(LARGE.subarray(answerFrom(socket, text, LARGE)));
        });
        const router = new Parents(providerOf('first', first), providerOf('second', second));
        await using node = follow(router, { stallTimeout: 300, firstByteTimeout: 300_000 });
        const request = { ...requestOf(LARGE), range: { kind: 'from', start: 1 } } as const;
        const content = await node.transfer.fetch(request, never);
        assert.deepEqual(await bodyOf(content), LARGE.subarray(1));
        assert.deepEqual(router.failures, ['first']);
        assert.equal(router.begun.length, 2, 'once for each body');
        assert.match(second.requests[0] ?? '', /^range: bytes=2000001-/im);
      },
    );
  }

  it(
    'stays with a silent peer that answers, since the flow may have stopped above it',
    PATIENCE,
    async () => {
      const sent: Socket[] = [];
      await using parent = await startRogue((socket, text) => {
        if (text.startsWith('HEAD')) {
          socket.write(responseHead(200, { 'content-length': LARGE.length }));
          // Later than a parent may be silent of which nothing is known.
          setTimeout(() => sent[0]?.write(LARGE.subarray(2_000_000)), 2_000);
          return;
        }
        sent.push(socket);
        socket.write(responseHead(200, { 'content-length': LARGE.length }));
        socket.write(LARGE.subarray(0, 2_000_000));
      });
      const router = new Parents(providerOf('parent', parent));
      await using node = follow(router, { stallTimeout: 2_000 });
      const content = await node.transfer.fetch(requestOf(LARGE), never);
      assert.deepEqual(await bodyOf(content), LARGE);
      assert.deepEqual(router.failures, []);
      assert.ok(parent.requests.some((text) => text.startsWith('HEAD')));
    },
  );

  it(
    'leaves one that does not answer, though it would have long for its first byte',
    { timeout: 60_000 },
    async () => {
      await using stopped = await startRogue((socket, text) => {
        if (!text.startsWith('HEAD'))
          socket.write(responseHead(200, { 'content-length': LARGE.length }));
      });
      await using second = await startRogue((socket, text) => {
        socket.write(LARGE.subarray(answerFrom(socket, text, LARGE)));
      });
      const router = new Parents(providerOf('stopped', stopped), providerOf('second', second));
      await using node = follow(router, { stallTimeout: 300, firstByteTimeout: 300_000 });
      const content = await node.transfer.fetch(requestOf(LARGE), never);
      assert.deepEqual(await bodyOf(content), LARGE);
      assert.deepEqual(router.failures, ['stopped']);
    },
  );

  it(
    'leaves one that takes the place of another and has no bytes, though it is there',
    { timeout: 60_000 },
    async () => {
      await using first = await startRogue((socket, text) => {
        if (text.startsWith('HEAD')) return;
        socket.write(responseHead(200, { 'content-length': LARGE.length }));
        socket.write(LARGE.subarray(0, 2_000_000));
      });
      await using empty = await startRogue((socket, text) => {
        if (text.startsWith('HEAD'))
          socket.write(responseHead(200, { 'content-length': LARGE.length }));
        else answerFrom(socket, text, LARGE);
      });
      await using third = await startRogue((socket, text) => {
        socket.write(LARGE.subarray(answerFrom(socket, text, LARGE)));
      });
      const router = new Parents(
        ...[providerOf('first', first), providerOf('empty', empty), providerOf('third', third)],
      );
      await using node = follow(router, { stallTimeout: 300, firstByteTimeout: 300_000 });
      const content = await node.transfer.fetch(requestOf(LARGE), never);
      assert.deepEqual(await bodyOf(content), LARGE);
      assert.deepEqual(router.failures, ['first', 'empty']);
    },
  );

  it('asks a peer at once again that fell silent, when it is named again', async () => {
    await using parent = await startRogue((socket, text) => {
      const start = answerFrom(socket, text, LARGE);
      socket.write(LARGE.subarray(start, start === 1 ? 2_000_001 : LARGE.length));
    });
    const router = new Parents(providerOf('parent', parent));
    await using node = follow(router, { stallTimeout: 300 });
    const request = { ...requestOf(LARGE), range: { kind: 'from', start: 1 } } as const;
    const content = await node.transfer.fetch(request, never);
    assert.deepEqual(await bodyOf(content), LARGE.subarray(1));
    assert.equal(router.questions, 2, 'a third one says that it was refused');
    assert.match(parent.requests[1] ?? '', /^range: bytes=2000001-/im);
  });

  it('gives nothing when the peer does not serve it, and says which peer that was', async () => {
    await using parent = await startRogue((socket) => {
      socket.write(responseHead(404, { 'content-length': 0 }));
    });
    const router = new Parents(providerOf('parent', parent));
    await using node = follow(router);
    assert.equal(await node.transfer.fetch(requestOf(LARGE), never), undefined);
    assert.deepEqual(router.failures, ['parent']);
  });

  it('does not take a peer for slow that receives it slowly itself', async () => {
    const slices = 6;
    await using parent = await startRogue((socket) => {
      socket.write(responseHead(200, { 'content-length': LARGE.length }));
      const size = LARGE.length / slices;
      let sent = 0;
      const timer = setInterval(() => {
        socket.write(LARGE.subarray(sent, (sent += size)));
        if (sent >= LARGE.length) clearInterval(timer);
      }, 400);
    });
    const router = new Parents(providerOf('parent', parent));
    await using node = follow(router, { stallTimeout: 10_000 });
    assert.deepEqual(await bodyOf(await node.transfer.fetch(requestOf(LARGE), never)), LARGE);
    assert.equal(parent.accepted, 1);
  });
});
