import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import { constants } from 'node:os';
import { buffer } from 'node:stream/consumers';
import { describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { DataPlane } from '../../native/data-plane.ts';
import { Libc } from '../../native/libc.ts';
import { eventually } from '../../testing/eventually.ts';
import { sha256 } from '../../testing/image.ts';
import {
  FixedRouter,
  providerOf,
  startMirror,
  type MirrorNode,
  type MirrorNodeInit,
} from '../../testing/mirror-node.ts';
import { quiet } from '../../testing/quiet.ts';
import { connectTo } from '../../testing/raw-http.ts';
import { responseHead, startRogue, type RoguePeer } from '../../testing/rogue-peer.ts';
import { HashingThread, type Listener } from '../verify/hashing-thread.ts';

/** Enough for the thread that hashes. */
const SIZE = 32 * 1024 * 1024;
const bytes = randomBytes(SIZE);
const digest = sha256(bytes);
const path = `/v2/team/app/blobs/${digest}?ns=registry.example`;

/** The bytes, but for one of them. */
function wrongAt(offset: number): Buffer {
  const wrong = Buffer.from(bytes);
  wrong.writeUInt8(wrong.readUInt8(offset) ^ 1, offset);
  return wrong;
}

/** Counts the copies that the kernel makes, and can refuse pipes. */
class CountingLibc extends Libc {
  copies = 0;
  pipes = 0;
  maxPipes = Infinity;
  /** Ends of pipes that are open. */
  readonly ends = new Set<number>();

  override teeNow(from: number, to: number, length: number): number {
    const copied = super.teeNow(from, to, length);
    if (copied > 0) this.copies += 1;
    return copied;
  }

  override close(fd: number): void {
    this.ends.delete(fd);
    super.close(fd);
  }

  override pipe(wanted: number): ReturnType<Libc['pipe']> {
    this.pipes += 1;
    const pipe = super.pipe(wanted);
    this.ends.add(pipe.readEnd).add(pipe.writeEnd);
    return this.pipes > this.maxPipes ? { ...pipe, capacity: 0 } : pipe;
  }
}

/** Serves the content from the requested offset on, and breaks off before `end`. */
function peer(content: Buffer, end = Infinity): Promise<RoguePeer> {
  return startRogue((socket: Socket, request) => {
    const start = Number(/range: bytes=(\d+)-/i.exec(request)?.[1] ?? 0);
    const head = {
      'content-length': content.length - start,
      'docker-content-digest': digest,
      ...(start > 0 && {
        'content-range': `bytes ${start}-${content.length - 1}/${content.length}`,
      }),
    };
    socket.write(responseHead(start > 0 ? 206 : 200, head));
    if (!request.startsWith('GET')) return;
    socket.write(content.subarray(start, end));
    if (end < content.length) socket.end();
  });
}

interface Node extends MirrorNode {
  readonly libc: CountingLibc;
}

async function startNode(
  peers: readonly RoguePeer[],
  init: Partial<MirrorNodeInit> = {},
): Promise<Node> {
  const libc = new CountingLibc();
  const dataPlane = new DataPlane({ logger: quiet, load: () => libc });
  const router = new FixedRouter(...peers.map((it, index) => providerOf(`peer-${index}`, it)));
  return Object.assign(await startMirror({ router, dataPlane, ...init }), { libc });
}

/** The body of the answer, and whether all of it came. */
async function download(node: MirrorNode): Promise<{ body: Buffer; isWhole: boolean }> {
  const socket = await connectTo(node.origin);
  socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
  const answer = await buffer(socket);
  const body = answer.subarray(answer.indexOf('\r\n\r\n') + 4);
  return { body, isWhole: body.length === SIZE };
}

/** Asks for the blob and reads nothing of the answer. */
async function askSlowly(node: MirrorNode): Promise<Socket> {
  const socket = await connectTo(node.origin);
  socket.pause();
  socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
  return socket;
}

async function outcomes({ metrics }: MirrorNode): Promise<Record<string, number>> {
  const { values } = await metrics.deliveryResults.get();
  const counted = values.filter(({ value }) => value > 0);
  return Object.fromEntries(counted.map(({ labels, value }) => [String(labels.result), value]));
}

async function blamed({ metrics }: MirrorNode): Promise<string[]> {
  const { values } = await metrics.digestMismatches.get();
  return values.map(({ labels }) => String(labels.peer));
}

const skip = process.platform !== 'linux' && 'Linux only';

describe('a whole blob for a client that does not verify it', { skip, timeout: 300_000 }, () => {
  it('is hashed beside its way through the kernel', async () => {
    await using holder = await peer(bytes);
    await using node = await startNode([holder]);
    const { body } = await download(node);
    assert.ok(body.equals(bytes));
    assert.ok(node.libc.copies > 0);
    assert.deepEqual(await outcomes(node), { right: 1 });
  });

  for (const [where, offset] of Object.entries({ first: 0, middle: SIZE / 2, last: SIZE - 1 })) {
    it(`ends too early when its ${where} byte is wrong, and the peer is blamed`, async () => {
      await using liar = await peer(wrongAt(offset));
      await using node = await startNode([liar]);
      const { body, isWhole } = await download(node);
      assert.equal(isWhole, false);
      assert.ok(body.length >= SIZE - 64 * 1024);
      assert.ok(node.libc.copies > 0);
      await eventually(async () => {
        assert.deepEqual(await outcomes(node), { wrong: 1 });
        assert.deepEqual(await blamed(node), ['peer-0']);
      });
    });
  }

  for (const left of [1, 10, 40_000, SIZE / 2]) {
    it(`is continued by another peer at the exact byte, ${left} before the end`, async () => {
      await using first = await peer(bytes, SIZE - left);
      await using second = await peer(bytes);
      await using node = await startNode([first, second]);
      const { body } = await download(node);
      assert.ok(body.equals(bytes));
      assert.deepEqual(await outcomes(node), { right: 1 });
    });
  }

  it('ends too early when one of two peers sent a wrong byte', async () => {
    await using liar = await peer(wrongAt(3), SIZE / 2);
    await using honest = await peer(bytes);
    await using node = await startNode([liar, honest]);
    const { isWhole } = await download(node);
    assert.equal(isWhole, false);
    await eventually(async () => {
      assert.deepEqual(await outcomes(node), { wrong: 1 });
    });
  });

  it('goes as a stream when there is no pipe for the copy', async () => {
    await using holder = await peer(bytes);
    await using node = await startNode([holder]);
    node.libc.maxPipes = 1;
    const { body } = await download(node);
    assert.ok(body.equals(bytes));
    assert.equal(node.libc.copies, 0);
    assert.deepEqual(await outcomes(node), { right: 1 });
  });

  it('goes as a stream where the system does not allow tee(2)', async (t) => {
    t.mock.method(CountingLibc.prototype, 'teeNow', () => -constants.errno.EPERM);
    await using holder = await peer(bytes);
    await using node = await startNode([holder]);
    assert.ok((await download(node)).body.equals(bytes));
    assert.equal(node.libc.ends.size, 0);
    assert.deepEqual(await outcomes(node), { right: 1 });
    const metrics = await node.metrics.registry.metrics();
    assert.doesNotMatch(metrics, /^peerglass_peer_failures_total\{.*\} [1-9]/m);
  });

  it('is withheld at its end as a stream too', async () => {
    await using liar = await peer(wrongAt(SIZE - 1));
    await using node = await startNode([liar]);
    node.libc.maxPipes = 0;
    const { isWhole } = await download(node);
    assert.equal(isWhole, false);
    await eventually(async () => {
      assert.deepEqual(await outcomes(node), { wrong: 1 });
    });
  });

  it('changes from the kernel to a stream and is hashed as one', async () => {
    await using first = await peer(bytes, SIZE / 2);
    await using second = await peer(bytes);
    await using node = await startNode([first, second]);
    node.libc.maxPipes = 2;
    const { body } = await download(node);
    assert.ok(body.equals(bytes));
    assert.ok(node.libc.copies > 0);
    assert.deepEqual(await outcomes(node), { right: 1 });
  });

  it('waits for a slow client, which delays no other one', async () => {
    await using holder = await peer(bytes);
    await using node = await startNode([holder]);
    const slow = await askSlowly(node);
    await eventually(() => {
      assert.ok(node.libc.copies > 0);
    });
    await delay(100);
    assert.ok((await download(node)).body.equals(bytes));
    const answer = await buffer(slow);
    assert.ok(answer.subarray(answer.indexOf('\r\n\r\n') + 4).equals(bytes));
    assert.deepEqual(await outcomes(node), { right: 2 });
  });

  it('breaks off, and counts no failure of the peer, when the thread fails', async (t) => {
    const open = Object.getOwnPropertyDescriptor(HashingThread.prototype, 'open')
      ?.value as HashingThread['open'];
    let fail = (): void => undefined;
    t.mock.method(HashingThread.prototype, 'open', function (this: HashingThread, it: Listener) {
      fail = () => {
        it.lost(new Error('no memory'));
      };
      return open.call(this, it);
    });
    await using holder = await peer(bytes);
    await using node = await startNode([holder]);
    const client = await askSlowly(node);
    await eventually(() => {
      assert.ok(node.libc.copies > 0);
    });
    fail();
    const answer = await buffer(client);
    assert.ok(answer.length < SIZE);
    assert.deepEqual(await outcomes(node), {});
    const metrics = await node.metrics.registry.metrics();
    assert.doesNotMatch(metrics, /^peerglass_(peer_failures|resumes)_total\{.*\} [1-9]/m);
  });

  it('leaves no pipe behind when the client leaves', async () => {
    await using holder = await peer(bytes);
    await using node = await startNode([holder]);
    const client = await askSlowly(node);
    await eventually(() => {
      assert.equal(node.libc.ends.size, 4);
    });
    client.destroy();
    await eventually(() => {
      assert.equal(node.libc.ends.size, 0);
    });
  });
});
