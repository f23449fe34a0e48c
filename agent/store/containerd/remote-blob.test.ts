import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { buffer } from 'node:stream/consumers';
import { describe, it } from 'node:test';

import { digestOf } from '../../testing/conformance/content-store.ts';
import { ContainerdServer } from '../../testing/containerd-server.ts';
import { ContainerdClient } from './client.ts';
import { RemoteBlob } from './remote-blob.ts';

const BYTES = randomBytes(2_500_000);
const DIGEST = digestOf(BYTES);

interface BlobUnderTest extends Disposable {
  /** Opens the blob with this length, which may differ from what containerd has. */
  readonly open: (size?: number) => RemoteBlob;
}

async function start(bytes: Buffer): Promise<BlobUnderTest> {
  const server = await ContainerdServer.start();
  server.blobsOf('k8s.io').set(DIGEST, { bytes, createdAt: undefined });
  const client = new ContainerdClient({ socketPath: server.socketPath, namespace: 'k8s.io' });
  return {
    open: (size = bytes.length) => new RemoteBlob(client, { digest: DIGEST, size }),
    [Symbol.dispose]() {
      client[Symbol.dispose]();
      server[Symbol.dispose]();
    },
  };
}

describe('RemoteBlob', () => {
  it('streams ranges, an empty one without a call', async () => {
    using test = await start(BYTES);
    for (const [first, last] of [
      [0, BYTES.length - 1],
      [1_048_575, 1_048_577],
      [5, 4],
    ] as const) {
      const read = await buffer(test.open().stream({ start: first, end: last }));
      assert.ok(read.equals(BYTES.subarray(first, last + 1)));
    }
  });

  it('fails when containerd ends before the last byte', async () => {
    using test = await start(BYTES.subarray(0, 1_000));
    const stream = test.open(1_500).stream({ start: 0, end: 1_499 });
    await assert.rejects(buffer(stream), /500 bytes too early/);
  });

  it('destroys its stream at once when it is disposed of', async () => {
    using test = await start(BYTES);
    const blob = test.open();
    const stream = blob.stream({ start: 0, end: BYTES.length - 1 });
    const closed = once(stream, 'close');
    await blob[Symbol.asyncDispose]();
    assert.ok(stream.destroyed);
    await closed;
  });
});
