import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, openSync, readdirSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { describe, it } from 'node:test';

import { DataPlane } from '../../native/data-plane.ts';
import { openLibc } from '../../native/foreign.ts';
import { startDiskMirror } from '../../testing/disk-mirror.ts';
import { FixedRouter, providerOf, startMirror } from '../../testing/mirror-node.ts';
import { quiet } from '../../testing/quiet.ts';

/** From sys/resource.h. */
const RLIMIT_NOFILE = 7;

/** Runs the task while this process can open only this number of file descriptors. */
async function withDescriptors<T>(count: number, task: () => Promise<T>): Promise<T> {
  const libc = openLibc();
  const getLimit = libc.find('int getrlimit(int resource, void *limit)');
  const setLimit = libc.find('int setrlimit(int resource, void *limit)');
  // `struct rlimit`: the soft and the hard one.
  const before = Buffer.alloc(16);
  assert.equal(getLimit(RLIMIT_NOFILE, before), 0);
  const lowered = Buffer.from(before);
  const highest = Math.max(...readdirSync('/proc/self/fd').map(Number));
  lowered.writeBigUInt64LE(BigInt(highest + count + 10), 0);
  assert.equal(setLimit(RLIMIT_NOFILE, lowered), 0);
  const taken: number[] = [];
  try {
    assert.throws(
      () => {
        for (;;) taken.push(openSync('/dev/null', 'r'));
      },
      { code: 'EMFILE' },
    );
    for (const fd of taken.splice(0, count)) closeSync(fd);
    return await task();
  } finally {
    for (const fd of taken) closeSync(fd);
    setLimit(RLIMIT_NOFILE, before);
  }
}

/** Sends the request and reads the body of the answer. */
async function bodyOf(socket: Socket, request: string): Promise<Buffer> {
  socket.write(request);
  const answer = await buffer(socket);
  return answer.subarray(answer.indexOf('\r\n\r\n') + 4);
}

/** An open connection, and the request to send over it. */
async function prepare(url: string): Promise<{ socket: Socket; request: string }> {
  const { port, pathname } = new URL(url);
  const socket = connect(Number(port), '127.0.0.1');
  await once(socket, 'connect');
  await (await fetch(new URL('/v2/', url))).arrayBuffer(); // the mirror has accepted the connection by then
  const request = `GET ${pathname} HTTP/1.1\r\nHost: x\r\nRange: bytes=5-\r\nConnection: close\r\n\r\n`;
  return { socket, request };
}

describe('a node with few file descriptors left', { timeout: 300_000 }, () => {
  const bytes = randomBytes(9 * 1024 * 1024);

  it('sends a blob from disk as a stream', async () => {
    await using mirror = await startDiskMirror('auto');
    const url = mirror.url(await mirror.put(bytes));
    await (await fetch(url)).arrayBuffer();
    const { socket, request } = await prepare(url);
    const body = await withDescriptors(1, () => bodyOf(socket, request)); // for the file
    assert.ok(body.equals(bytes.subarray(5)));
  });

  // The holder needs one for its file, and one for its connection where it gets it.
  for (const left of [1, 2, 3, 4, 5]) {
    it(`forwards a blob from a peer as a stream, and counts no failure, with ${left} left`, async () => {
      await using holder = await startDiskMirror('auto');
      const digest = await holder.put(bytes);
      const router = new FixedRouter(providerOf('holder', holder));
      const dataPlane = new DataPlane({ logger: quiet });
      await using node = await startMirror({ router, dataPlane });
      const url = `${node.origin}/v2/team/app/blobs/${digest}`;
      // Leaves an idle connection to the holder, which is used again.
      await (await fetch(url, { headers: { range: 'bytes=5-' } })).arrayBuffer();
      const { socket, request } = await prepare(url);
      const body = await withDescriptors(left, () => bodyOf(socket, request));
      assert.ok(body.equals(bytes.subarray(5)));
      const metrics = await node.metrics.registry.metrics();
      assert.doesNotMatch(metrics, /^peerglass_(peer_failures|resumes)_total\{.*\} [1-9]/m);
    });
  }
});
