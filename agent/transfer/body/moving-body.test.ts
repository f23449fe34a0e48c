import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, it, mock } from 'node:test';

import fc from 'fast-check';

import { DataPlane, type DataPlaneMode } from '../../native/data-plane.ts';
import { Pipes, PipesSpentError } from '../../native/pipes.ts';
import type { Digest } from '../../oci/digest.ts';
import { startDiskMirror } from '../../testing/disk-mirror.ts';
import { eventually } from '../../testing/eventually.ts';
import {
  FixedRouter,
  providerOf,
  startMirror,
  type MirrorNode,
} from '../../testing/mirror-node.ts';
import { quiet } from '../../testing/quiet.ts';

const MIB = 1024 * 1024;

interface Pair extends AsyncDisposable {
  readonly node: MirrorNode;
  readonly bytes: Buffer;
  readonly url: string;
  /** Number of bodies that the kernel has moved from the holder to clients. */
  moved(): number;
  /** A new connection on which the blob was requested. */
  ask(): Promise<Socket>;
  metric(name: string): Promise<number>;
}

/** A node, and the holder from which it gets a blob. */
async function startPair(mode: DataPlaneMode, size: number, stallTimeout = 5_000): Promise<Pair> {
  const holder = await startDiskMirror(mode);
  holder.dataPlane.kernel(); // opens a descriptor that stays open
  const bytes = randomBytes(size);
  const digest: Digest = await holder.put(bytes);
  const dataPlane = new DataPlane({ logger: quiet }, mode);
  const kernel = dataPlane.kernel();
  const spy = kernel && mock.method(kernel, 'splice');
  const router = new FixedRouter(providerOf('holder', holder));
  const node = await startMirror({ router, dataPlane, stallTimeout });
  const path = `/v2/team/app/blobs/${digest}`;
  return {
    node,
    bytes,
    url: `${node.origin}${path}`,
    moved: () => spy?.mock.callCount() ?? 0,
    async ask() {
      const socket = connect(Number(new URL(node.origin).port), '127.0.0.1');
      await once(socket, 'connect');
      socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
      return socket;
    },
    async metric(name) {
      const text = await node.metrics.registry.getSingleMetricAsString(name);
      const values = [...text.matchAll(/^[a-z_]+(?:\{[^}]*\})? (\d+)$/gm)];
      return values.reduce((sum, [, value]) => sum + Number(value), 0);
    },
    async [Symbol.asyncDispose]() {
      await node[Symbol.asyncDispose]();
      await holder[Symbol.asyncDispose]();
    },
  };
}

function descriptors(): number {
  return readdirSync('/proc/self/fd').length;
}

describe('moveTo, without a pipe to be had,', () => {
  it('forwards a blob as a stream, exactly, and counts no failure', async (t) => {
    t.mock.method(Pipes.prototype, 'open', () => {
      throw new PipesSpentError('enough');
    });
    await using pair = await startPair('auto', 9 * MIB + 5);
    const { bytes, url } = pair;
    for (const start of [5, 65_536, 4 * MIB]) {
      const response = await fetch(url, { headers: { range: `bytes=${start}-` } });
      assert.equal(response.status, 206);
      assert.ok(bytes.subarray(start).equals(Buffer.from(await response.arrayBuffer())));
    }
    assert.ok(pair.moved() > 0);
    assert.equal(await pair.metric('peerglass_peer_failures_total'), 0);
  });
});

for (const mode of ['auto', 'stream'] satisfies DataPlaneMode[]) {
  describe(`moveTo, with data plane ${mode},`, () => {
    it('delivers a blob, whole and in ranges, over connections that are used again', async () => {
      await using pair = await startPair(mode, 9 * MIB + 5);
      const { bytes, url } = pair;
      const whole = await fetch(url);
      assert.ok(bytes.equals(Buffer.from(await whole.arrayBuffer())));
      // This client is not known to verify a whole blob, so it is hashed in passing.
      assert.equal(pair.moved(), 0);
      await fc.assert(
        fc.asyncProperty(
          fc.nat(bytes.length - 1),
          fc.double({ min: 0, max: 1, noNaN: true }),
          async (start, part) => {
            const end = start + Math.floor(part * (bytes.length - 1 - start));
            const response = await fetch(url, { headers: { range: `bytes=${start}-${end}` } });
            assert.equal(response.status, 206);
            const body = Buffer.from(await response.arrayBuffer());
            assert.ok(bytes.subarray(start, end + 1).equals(body), `${start}-${end}`);
          },
        ),
        { numRuns: 25 },
      );
      // The ranges before may all have been so short that they arrived with their heads.
      await (await fetch(url, { headers: { range: 'bytes=1-' } })).arrayBuffer();
      assert.equal(pair.moved() > 0, mode === 'auto');
      assert.equal(await pair.metric('peerglass_resumes_total'), 0);
    });

    it('counts the bytes when they have arrived', async () => {
      await using pair = await startPair(mode, 6 * MIB);
      await (await fetch(pair.url)).arrayBuffer();
      await eventually(async () => {
        assert.equal(await pair.metric('peerglass_peer_bytes_total'), pair.bytes.length);
      });
    });

    it('ends when its client leaves, and counts no failure of the peer', async () => {
      await using pair = await startPair(mode, 32 * MIB);
      const before = descriptors();
      for (const end of ['destroy', 'resetAndDestroy'] as const) {
        const sockets = await Promise.all(Array.from({ length: 10 }, () => pair.ask()));
        await Promise.all(sockets.map((socket) => once(socket, 'readable')));
        for (const socket of sockets) socket[end]();
        await eventually(async () => {
          assert.equal(await pair.metric('http_requests_inflight'), 0);
          assert.ok(descriptors() <= before, `${descriptors()}, before ${before}`);
        });
      }
      assert.equal(await pair.metric('peerglass_peer_failures_total'), 0);
    });

    it('waits longer for a slow client than for a silent peer', async () => {
      await using pair = await startPair(mode, 48 * MIB, 200);
      const socket = await pair.ask();
      await once(socket, 'readable');
      await delay(700); // the pause of the client; more than the peer may take
      const answer = await buffer(socket);
      assert.ok(pair.bytes.equals(answer.subarray(answer.indexOf('\r\n\r\n') + 4)));
      assert.equal(await pair.metric('peerglass_peer_failures_total'), 0);
    });

    it('serves one client while 100 others read nothing', async () => {
      await using pair = await startPair(mode, 12 * MIB);
      const before = descriptors();
      const stalled = await Promise.all(Array.from({ length: 100 }, () => pair.ask()));
      await Promise.all(stalled.map((socket) => once(socket, 'readable')));
      const response = await fetch(pair.url);
      assert.ok(pair.bytes.equals(Buffer.from(await response.arrayBuffer())));
      for (const socket of stalled) socket.destroy();
      await eventually(() => {
        // Idle connections of fetch, and those to the peer.
        assert.ok(descriptors() <= before + 8, `${descriptors()}, before ${before}`);
      });
    });
  });
}
