import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { describe, it, type TestContext } from 'node:test';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { DataPlane } from '../native/data-plane.ts';
import type { Kernel, Moved } from '../native/kernel.ts';
import type { Sink } from '../native/sink.ts';
import type { OpenBlob } from '../store/content-store.ts';
import { BlobFile, blobPath } from '../store/blob-file.ts';
import { sha256 } from '../testing/image.ts';
import { quiet } from '../testing/quiet.ts';
import { LocalBlob } from './local-blob.ts';

const MIB = 1024 * 1024;
const bytes = randomBytes(MIB);
const RANGE = { start: 5, end: MIB - 2 };
const signal = new AbortController().signal;

/** Opens a blob of a layout folder. */
async function openBlob(
  t: TestContext,
): Promise<{ readonly blob: OpenBlob; readonly path: string }> {
  const root = await mkdtemp(join(tmpdir(), 'peerglass-blob-'));
  await mkdir(join(root, 'blobs', 'sha256'), { recursive: true });
  const digest = sha256(bytes);
  const path = blobPath(root, digest);
  await writeFile(path, bytes);
  const blob = await BlobFile.open(root, digest);
  assert.ok(blob !== undefined);
  t.after(async () => {
    await blob[Symbol.asyncDispose]();
    await rm(root, { recursive: true });
  });
  return { blob, path };
}

/** A connection, the sink that goes to it, and what its other end receives. */
async function makeSink(
  t: TestContext,
): Promise<{ readonly sink: Sink; readonly client: Socket; moved: number; written: number }> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const [socket] = await accepted;
  t.after(() => {
    socket.destroy();
    client.destroy();
    server.close();
  });
  const result = {
    moved: 0,
    written: 0,
    client,
    sink: {
      socket,
      async write(chunk: Uint8Array) {
        result.written += chunk.length;
        await new Promise<void>((resolve) => {
          socket.write(chunk, () => {
            resolve();
          });
        });
      },
      moved: (length: number) => void (result.moved += length),
    },
  };
  return result;
}

/** A data plane whose kernel answers every call in this way. */
function kernelThat(answer: Moved): Pick<DataPlane, 'kernel'> {
  const kernel = { sendFile: () => Promise.resolve(answer) } as unknown as Kernel;
  return { kernel: () => kernel };
}

describe('LocalBlob', () => {
  it('gives the range as a stream', async (t) => {
    const { blob } = await openBlob(t);
    const content = new LocalBlob({ blob }, RANGE, signal);
    assert.equal(content.moveTo, undefined);
    assert.deepEqual(content.descriptor.digest, blob.digest);
    await content.ready('body');
    const body = await buffer(content.body);
    assert.ok(body.equals(bytes.subarray(RANGE.start, RANGE.end + 1)));
  });

  it('moves the range to a connection within the kernel, the first 4 KiB apart', async (t) => {
    const { blob } = await openBlob(t);
    const dataPlane = new DataPlane({ logger: quiet });
    if (dataPlane.kernel() === undefined) {
      t.skip('no sendfile here');
      return;
    }
    const content = new LocalBlob({ blob, dataPlane }, RANGE, signal);
    await content.ready('moveTo');
    const target = await makeSink(t);
    const received = buffer(target.client);
    await content.moveTo?.(target.sink);
    target.sink.socket.end();
    assert.ok((await received).equals(bytes.subarray(RANGE.start, RANGE.end + 1)));
    assert.deepEqual([target.written, target.moved], [4096, MIB - 6 - 4096]);
  });

  it('does not move a range below 256 KiB, and does not load the library for it', async (t) => {
    const { blob } = await openBlob(t);
    const dataPlane = {
      kernel: (): never => {
        throw new Error('loaded');
      },
    };
    const content = new LocalBlob({ blob, dataPlane }, { start: 0, end: 256 * 1024 - 2 }, signal);
    assert.equal(content.moveTo, undefined);
  });

  it('goes on as a stream, behind the first bytes, when the kernel cannot move this file', async (t) => {
    const { blob } = await openBlob(t);
    const content = new LocalBlob({ blob, dataPlane: kernelThat('unsupported') }, RANGE, signal);
    await content.ready('moveTo');
    const target = await makeSink(t);
    const received = buffer(target.client);
    await content.moveTo?.(target.sink);
    target.sink.socket.end();
    assert.ok((await received).equals(bytes.subarray(RANGE.start, RANGE.end + 1)));
    assert.deepEqual([target.written, target.moved], [MIB - 6, 0]);
  });

  it('closes the connection when the kernel finds it closed by the client', async (t) => {
    const { blob } = await openBlob(t);
    const content = new LocalBlob({ blob, dataPlane: kernelThat('closed') }, RANGE, signal);
    await content.ready('moveTo');
    const target = await makeSink(t);
    await content.moveTo?.(target.sink);
    assert.ok(target.sink.socket.destroyed);
  });

  for (const way of ['body', 'moveTo'] as const) {
    it(`is not ready when the file cannot be read: ${way}`, async (t) => {
      const { blob, path } = await openBlob(t);
      await truncate(path, 0);
      const content = new LocalBlob({ blob, dataPlane: kernelThat('all') }, RANGE, signal);
      await assert.rejects(content.ready(way), /blob's file ends/);
    });
  }
});
