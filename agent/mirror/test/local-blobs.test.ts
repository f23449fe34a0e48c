import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { readFile, truncate } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { describe, it, mock } from 'node:test';

import fc from 'fast-check';
import { pino } from 'pino';

import { DataPlane, type DataPlaneMode } from '../../native/data-plane.ts';
import type { Kernel } from '../../native/kernel.ts';
import type { Digest } from '../../oci/digest.ts';
import { startDiskMirror, type DiskMirror } from '../../testing/disk-mirror.ts';
import { eventually } from '../../testing/eventually.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

/** Descriptors of this process that are open. */
function descriptors(): number {
  return readdirSync('/proc/self/fd').length;
}

/** Resolves when no more descriptors are open than before. */
async function noneLeft(before: number): Promise<void> {
  await eventually(() => {
    assert.ok(descriptors() <= before, `${descriptors()} descriptors, before ${before}`);
  });
}

/** Sends pipelined requests for blobs over a new connection. */
async function ask(mirror: DiskMirror, ...digests: Digest[]): Promise<Socket> {
  const socket = connect(mirror.port, '127.0.0.1');
  await once(socket, 'connect');
  for (const digest of digests) {
    socket.write(`GET /v2/team/app/blobs/${digest} HTTP/1.1\r\nHost: x\r\n\r\n`);
  }
  return socket;
}

/** Reads answers from a connection until it has bodies of these lengths. */
async function bodies(socket: Socket, ...lengths: number[]): Promise<Buffer[]> {
  const min = lengths.reduce((sum, length) => sum + length);
  const chunks: Buffer[] = [];
  let total = 0;
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    total += chunk.length;
    if (total < min) continue;
    let text = Buffer.concat(chunks);
    const found: Buffer[] = [];
    for (const length of lengths) {
      const start = text.indexOf('\r\n\r\n') + 4;
      if (start < 4 || text.length < start + length) break;
      found.push(text.subarray(start, start + length));
      text = text.subarray(start + length);
    }
    if (found.length === lengths.length) return found;
  }
  throw new Error(`the connection ended after ${total} bytes`);
}

/** Counts the files that the kernel sends. */
function spy(kernel: Kernel | undefined): { callCount: () => number } {
  if (kernel === undefined) return { callCount: () => 0 };
  const method = mock.method(kernel, 'sendFile');
  return { callCount: () => method.mock.callCount() };
}

async function count(mirror: DiskMirror, name: string): Promise<number> {
  const metric = await mirror.metrics.registry.getSingleMetricAsString(name);
  const [, value = '0'] = /^\S+?(?:_sum)?(?:\{[^}]*\})? (\S+)$/m.exec(metric) ?? [];
  return Number(value);
}

for (const mode of ['auto', 'stream'] satisfies DataPlaneMode[]) {
  describe(`a blob from disk, data plane ${mode}`, () => {
    it('goes by sendfile where it is large and the data plane allows that, else as a stream', async () => {
      await using mirror = await startDiskMirror(mode);
      const digest = await mirror.put(randomBytes(MIB));
      const small = await mirror.put(randomBytes(100 * KIB));
      const kernel = mirror.dataPlane.kernel();
      assert.equal(kernel === undefined, mode === 'stream');
      const { callCount } = spy(kernel);
      await (await fetch(mirror.url(small))).arrayBuffer();
      assert.equal(callCount(), 0);
      await (await fetch(mirror.url(digest))).arrayBuffer();
      assert.equal(callCount(), mode === 'stream' ? 0 : 1);
    });

    it('arrives unchanged, whole and in ranges, whatever its length', async () => {
      await using mirror = await startDiskMirror(mode);
      const edges = [0, 1, 64 * KIB, 256 * KIB - 1, 256 * KIB, 256 * KIB + 1, 4 * MIB, 9 * MIB + 7];
      const blobs = await Promise.all(
        edges.map(async (length) => {
          const bytes = randomBytes(length);
          return { bytes, digest: await mirror.put(bytes) };
        }),
      );
      for (const { bytes, digest } of blobs) {
        const response = await fetch(mirror.url(digest));
        assert.equal(response.headers.get('content-length'), String(bytes.length));
        assert.ok(bytes.equals(Buffer.from(await response.arrayBuffer())), `${bytes.length}`);
      }
      await fc.assert(
        fc.asyncProperty(
          fc.constantFrom(...blobs.filter(({ bytes }) => bytes.length > 0)),
          fc.double({ min: 0, max: 0.999, noNaN: true }),
          fc.double({ min: 0, max: 1, noNaN: true }),
          async ({ bytes, digest }, from, part) => {
            const start = Math.floor(from * bytes.length);
            const end = start + Math.floor(part * (bytes.length - 1 - start));
            const response = await fetch(mirror.url(digest), {
              headers: { range: `bytes=${start}-${end}` },
            });
            assert.equal(response.status, 206);
            const body = Buffer.from(await response.arrayBuffer());
            assert.ok(bytes.subarray(start, end + 1).equals(body), `${start}-${end}`);
          },
        ),
        { numRuns: 40 },
      );
    });

    it('leaves its connection usable for the pipelined requests behind it', async () => {
      await using mirror = await startDiskMirror(mode);
      const large = randomBytes(3 * MIB);
      const small = randomBytes(1000);
      const [first, second] = [await mirror.put(large), await mirror.put(small)];
      const socket = await ask(mirror, first, second, first);
      const lengths = [large.length, small.length, large.length];
      const got = await bodies(socket, ...lengths);
      assert.deepEqual(
        got.map((body, index) => body.equals(index === 1 ? small : large)),
        [true, true, true],
      );
      socket.destroy();
    });

    it('ends when its client leaves, and closes file and connection', async () => {
      await using mirror = await startDiskMirror(mode);
      const digest = await mirror.put(randomBytes(32 * MIB));
      await (await fetch(mirror.url(digest))).arrayBuffer();
      await eventually(() => {
        assert.equal(process.getActiveResourcesInfo().includes('FSReqPromise'), false);
      });
      const before = descriptors();
      for (const end of ['destroy', 'resetAndDestroy'] as const) {
        const sockets = await Promise.all(Array.from({ length: 10 }, () => ask(mirror, digest)));
        await Promise.all(sockets.map((socket) => once(socket, 'readable')));
        for (const socket of sockets) socket[end]();
        await noneLeft(before);
      }
      await eventually(async () => {
        assert.equal(await count(mirror, 'http_requests_inflight'), 0);
      });
    });

    it('ends by FIN, never by reset, when the file is cut short meanwhile', async () => {
      await using mirror = await startDiskMirror(mode);
      const bytes = randomBytes(48 * MIB);
      const digest = await mirror.put(bytes);
      mirror.dataPlane.kernel(); // has a descriptor of its own, which stays
      const before = descriptors();
      const socket = await ask(mirror, digest);
      await once(socket, 'readable');
      await truncate(mirror.path(digest), 40 * MIB);
      const answer = await buffer(socket); // rejects on a reset
      const body = answer.subarray(answer.indexOf('\r\n\r\n') + 4);
      assert.ok(body.length <= 40 * MIB);
      assert.ok(bytes.subarray(0, body.length).equals(body));
      await noneLeft(before);
    });

    it('is served to others while 200 clients take nothing', async () => {
      await using mirror = await startDiskMirror(mode);
      const bytes = randomBytes(8 * MIB);
      const digest = await mirror.put(bytes);
      mirror.dataPlane.kernel(); // has a descriptor of its own, which stays
      const before = descriptors();
      const stalled = await Promise.all(Array.from({ length: 200 }, () => ask(mirror, digest)));
      await Promise.all(stalled.map((socket) => once(socket, 'readable')));
      // For each client: two ends of the connection, the file, and a duplicate of the connection's descriptor.
      assert.ok(descriptors() - before <= 200 * 4 + 16, `${descriptors() - before}`);
      for (let turn = 0; turn < 3; turn += 1) {
        const response = await fetch(mirror.url(digest));
        assert.ok(bytes.equals(Buffer.from(await response.arrayBuffer())));
        assert.equal((await fetch(`${mirror.origin}/v2/`)).status, 200);
        assert.equal((await readFile(mirror.path(digest))).length, bytes.length);
      }
      for (const socket of stalled.slice(0, 100)) socket.destroy();
      // The other clients continue where they stopped.
      for (const socket of stalled.slice(100, 104)) {
        const [body] = await bodies(socket, bytes.length);
        assert.ok(body?.equals(bytes));
      }
      for (const socket of stalled) socket.destroy();
      await noneLeft(before + 8); // connections that fetch keeps
    });

    it('is counted, in the bytes sent to peers and the size of the answer', async () => {
      await using mirror = await startDiskMirror(mode);
      const bytes = randomBytes(5 * MIB);
      const digest = await mirror.put(bytes);
      const headers = { 'x-spegel-mirrored': 'true' };
      await (await fetch(mirror.url(digest), { headers })).arrayBuffer();
      await eventually(async () => {
        assert.equal(await count(mirror, 'peerglass_peer_bytes_total'), bytes.length);
        const text = await mirror.metrics.registry.getSingleMetricAsString(
          'http_response_size_bytes',
        );
        const [, sum] = /_sum\{[^}]*\} (\d+)/.exec(text) ?? [];
        assert.ok(Number(sum) > bytes.length && Number(sum) < bytes.length + 1000, sum);
      });
    });
  });
}

describe('a blob from disk, without the library for the kernel', () => {
  it('goes as a stream, which is logged once', async () => {
    const lines: string[] = [];
    const logger = pino({ level: 'warn' }, { write: (line) => void lines.push(line) });
    const load = (): never => {
      throw new Error('no such library');
    };
    const dataPlane = new DataPlane({ logger, load });
    assert.equal(dataPlane.kernel(), undefined);
    assert.equal(dataPlane.kernel(), undefined);
    assert.equal(dataPlane.path, 'stream');
    assert.equal(lines.length, 1);
    await using mirror = await startDiskMirror(dataPlane);
    const bytes = randomBytes(MIB);
    const response = await fetch(mirror.url(await mirror.put(bytes)));
    assert.ok(bytes.equals(Buffer.from(await response.arrayBuffer())));
  });
});
