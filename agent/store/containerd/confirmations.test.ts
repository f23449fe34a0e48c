import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { describe, it, type TestContext } from 'node:test';

import type { Digest } from '../../oci/digest.ts';
import { ContainerdNode } from '../../testing/containerd-node.ts';
import { eventually } from '../../testing/eventually.ts';
import { quiet } from '../../testing/quiet.ts';
import { blobPath } from '../blob-file.ts';
import { ChangeHub } from '../change-hub.ts';
import { Announcements } from './announcements.ts';
import { ContainerdClient } from './client.ts';
import { Confirmations } from './confirmations.ts';
import { KnownBlobs } from './known-blobs.ts';

interface ConfirmationsUnderTest extends AsyncDisposable {
  readonly node: ContainerdNode;
  readonly confirmations: Confirmations;
  /** Kinds of the changes that were published. */
  readonly kinds: () => string[];
  relists: number;
}

async function start(t: TestContext): Promise<ConfirmationsUnderTest> {
  const node = await ContainerdNode.start('1.7.24');
  const { socketPath } = node.server;
  const client = new ContainerdClient({ socketPath, namespace: 'k8s.io', callTimeout: 1_000 });
  const hub = new ChangeHub({ produce: () => Promise.resolve() });
  const publish = t.mock.method(hub, 'publish');
  const stop = new AbortController();
  const confirmations = new Confirmations({
    client,
    contentPath: node.contentPath,
    announcements: new Announcements(new KnownBlobs(10), hub),
    relist: () => {
      test.relists += 1;
    },
    logger: quiet,
    signal: stop.signal,
  });
  const test: ConfirmationsUnderTest = {
    node,
    confirmations,
    kinds: () => publish.mock.calls.map((call) => call.arguments[0].kind),
    relists: 0,
    async [Symbol.asyncDispose]() {
      stop.abort();
      await confirmations.ended();
      client[Symbol.dispose]();
      await node[Symbol.asyncDispose]();
    },
  };
  return test;
}

describe('Confirmations', () => {
  it('announces a file once containerd has recorded the blob', async (t) => {
    await using test = await start(t);
    const digest = await test.node.putBlob(Buffer.from('late'));
    const blobs = test.node.server.blobsOf('k8s.io');
    const record = blobs.get(digest);
    assert.ok(record !== undefined);
    blobs.delete(digest);
    test.confirmations.examine(digest);
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.deepEqual(test.kinds(), []);
    blobs.set(digest, record);
    await test.confirmations.ended();
    assert.deepEqual(test.kinds(), ['blob-added']);
  });

  it('announces in their order a file that appears and one that disappears', async (t) => {
    await using test = await start(t);
    const digest = await test.node.putBlob(Buffer.from('short-lived'));
    test.confirmations.examine(digest);
    await eventually(() => {
      assert.deepEqual(test.kinds(), ['blob-added']);
    });
    await rm(blobPath(test.node.contentPath, digest));
    test.confirmations.examine(digest);
    await test.confirmations.ended();
    assert.deepEqual(test.kinds(), ['blob-added', 'blob-deleted']);
  });

  it('asks for a relist when containerd cannot be reached, and when too many files change', async (t) => {
    await using test = await start(t);
    const digest = await test.node.putBlob(Buffer.from('unconfirmed'));
    test.node.server.stop();
    test.confirmations.examine(digest);
    await test.confirmations.ended();
    assert.equal(test.relists, 1);
    for (let count = 0; count < 1_100; count += 1) {
      const hex = count.toString(16).padStart(64, '0');
      test.confirmations.examine(`sha256:${hex}` as Digest);
    }
    assert.equal(test.relists, 1 + 1_100 - 1_024);
    await test.confirmations.ended();
  });
});
