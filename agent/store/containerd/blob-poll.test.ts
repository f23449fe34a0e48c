import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { digestOf } from '../../testing/conformance/content-store.ts';
import { ContainerdServer } from '../../testing/containerd-server.ts';
import { eventually } from '../../testing/eventually.ts';
import { quiet } from '../../testing/quiet.ts';
import { ChangeHub } from '../change-hub.ts';
import { Announcements } from './announcements.ts';
import { BlobPoll } from './blob-poll.ts';
import { ContainerdClient } from './client.ts';
import { KnownBlobs } from './known-blobs.ts';

const BYTES = Buffer.from('the blob');
const DIGEST = digestOf(BYTES);

describe('BlobPoll', () => {
  it('relists at its first listing, and publishes the differences from then on', async (t) => {
    using server = await ContainerdServer.start();
    using client = new ContainerdClient({ socketPath: server.socketPath, namespace: 'k8s.io' });
    const hub = new ChangeHub({ produce: () => Promise.resolve() });
    const publish = t.mock.method(hub, 'publish');
    const kinds = (): string[] => publish.mock.calls.map((call) => call.arguments[0].kind);
    let interval: number | undefined = 5;
    let pauses = 0;
    let relists = 0;
    const poll = new BlobPoll({
      client,
      announcements: new Announcements(new KnownBlobs(10), hub),
      relist: () => (relists += 1),
      logger: quiet,
      interval: () => {
        if (interval === undefined) pauses += 1;
        return interval;
      },
      idle: 5,
    });
    const stop = new AbortController();
    t.after(() => {
      stop.abort();
    });
    const running = poll.run(stop.signal);
    await eventually(() => {
      assert.equal(relists, 1);
    });
    const blobs = server.blobsOf('k8s.io');
    blobs.set(DIGEST, { bytes: BYTES, createdAt: undefined });
    await eventually(() => {
      assert.deepEqual(kinds(), ['blob-added']);
    });
    blobs.delete(DIGEST);
    await eventually(() => {
      assert.deepEqual(kinds(), ['blob-added', 'blob-deleted']);
    });
    // After a pause a change may have been missed, so it begins with a relist again.
    interval = undefined;
    await eventually(() => {
      assert.ok(pauses > 0);
    });
    interval = 5;
    await eventually(() => {
      assert.equal(relists, 2);
    });
    stop.abort();
    await running;
  });

  it('goes on after a listing that failed', async (t) => {
    using server = await ContainerdServer.start();
    using client = new ContainerdClient({ socketPath: server.socketPath, namespace: 'k8s.io' });
    server.stop();
    let relists = 0;
    const hub = new ChangeHub({ produce: () => Promise.resolve() });
    const poll = new BlobPoll({
      client,
      announcements: new Announcements(new KnownBlobs(10), hub),
      relist: () => (relists += 1),
      logger: quiet,
      interval: () => 5,
      idle: 5,
    });
    const stop = new AbortController();
    t.after(() => {
      stop.abort();
    });
    const running = poll.run(stop.signal);
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.equal(relists, 0);
    await server.listen();
    await eventually(() => {
      assert.equal(relists, 1);
    });
    stop.abort();
    await running;
  });
});
