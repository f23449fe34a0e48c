import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';

import { ABSENT, digestOf } from '../../testing/conformance/content-store.ts';
import { ContainerdServer } from '../../testing/containerd-server.ts';
import { StoreUnavailableError } from '../content-store.ts';
import { ContainerdClient } from './client.ts';

const BYTES = randomBytes(2_500_000);
const DIGEST = digestOf(BYTES);
const NAME = 'docker.io/library/demo:1';

function clientOf({ socketPath }: ContainerdServer, namespace = 'k8s.io'): ContainerdClient {
  return new ContainerdClient({ socketPath, namespace });
}

describe('ContainerdClient', () => {
  it('sees the images and blobs of its namespace only', async () => {
    using server = await ContainerdServer.start();
    const target = { mediaType: 'application/json', digest: DIGEST, size: BYTES.length };
    server.imagesOf('k8s.io').set(NAME, target);
    server.blobsOf('k8s.io').set(DIGEST, { bytes: BYTES, createdAt: new Date(5_000) });
    using client = clientOf(server);
    using other = clientOf(server, 'moby');
    assert.equal((await client.image(NAME))?.target?.digest, DIGEST);
    assert.equal((await client.images()).length, 1);
    const info = await client.info(DIGEST);
    assert.deepEqual([info?.size, info?.createdAt?.getTime()], [BYTES.length, 5_000]);
    assert.equal(await other.image(NAME), undefined);
    assert.equal(await other.info(DIGEST), undefined);
    assert.deepEqual(await other.images(), []);
  });

  it('lists blobs in batches', async () => {
    using server = await ContainerdServer.start();
    for (let count = 0; count < 250; count += 1) {
      const bytes = Buffer.from(String(count));
      server.blobsOf('k8s.io').set(digestOf(bytes), { bytes, createdAt: undefined });
    }
    using client = clientOf(server);
    const sizes: number[] = [];
    for await (const batch of client.list()) sizes.push(batch.length);
    assert.deepEqual(sizes, [100, 100, 50]);
  });

  it('reads a range in chunks of at most 1 MiB', async () => {
    using server = await ContainerdServer.start();
    server.blobsOf('k8s.io').set(DIGEST, { bytes: BYTES, createdAt: undefined });
    using client = clientOf(server);
    const chunks: Buffer[] = [];
    for await (const chunk of client.read(DIGEST, { start: 10, end: 2_000_009 }))
      chunks.push(chunk);
    assert.ok(chunks.length >= 2);
    assert.ok(Buffer.concat(chunks).equals(BYTES.subarray(10, 2_000_010)));
  });

  it('rejects while containerd is down, and reconnects when it is back', async () => {
    using server = await ContainerdServer.start();
    using client = clientOf(server);
    assert.equal(await client.version(), '2.1.9');
    server.stop();
    await assert.rejects(client.version(), StoreUnavailableError);
    await server.listen();
    const deadline = Date.now() + 20_000;
    for (;;) {
      const version = await client.version().catch(() => undefined);
      if (version === '2.1.9') break;
      assert.ok(Date.now() < deadline, 'it never reconnected');
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  });

  it('rejects calls after it is disposed of', async () => {
    using server = await ContainerdServer.start();
    const client = clientOf(server);
    await client.info(ABSENT);
    client[Symbol.dispose]();
    await assert.rejects(client.info(ABSENT));
  });
});
