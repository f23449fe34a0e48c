import assert from 'node:assert/strict';
import { rm, writeFile } from 'node:fs/promises';
import { describe, it } from 'node:test';

import { pino } from 'pino';

import { Inventory } from '../../inventory/inventory.ts';
import { createMetrics } from '../../metrics/metrics.ts';
import { SharePolicy } from '../../oci/share-policy.ts';
import { blobPath } from '../../store/blob-file.ts';
import { ContainerdNode } from '../../testing/containerd-node.ts';
import { eventually } from '../../testing/eventually.ts';
import { quiet } from '../../testing/quiet.ts';
import { guardStore } from '../integrity.ts';
import { Loops } from '../loops.ts';

const BYTES = Buffer.from('what containerd has a record of');

/** A guarded store over containerd, with the keys that its inventory advertises. */
async function follow(node: ContainerdNode, rate: number) {
  const resources = new AsyncDisposableStack();
  const [metrics, lines, keys] = [createMetrics(), [] as string[], new Set<string>()];
  const logger = pino({ level: 'warn' }, { write: (line: string) => void lines.push(line) });
  const guard = await guardStore(
    { store: node.store, metrics, logger },
    { folder: '', rate, interval: 60_000, startDelay: 1, badInterval: 20 },
    resources,
  );
  const publisher = {
    set: (key: string, wanted: boolean) => {
      if (wanted) keys.add(key);
      else keys.delete(key);
    },
    isWanted: (key: string) => keys.has(key),
  };
  const policy = new SharePolicy();
  const inventory = new Inventory({
    store: guard.store,
    publisher,
    policy,
    metrics,
    logger: quiet,
  });
  guard.nameImages(inventory);
  const loops = new Loops([guard, inventory]);
  return {
    guard,
    inventory,
    keys,
    lines,
    start: () => {
      loops.start();
    },
    corrupt: async () => (await metrics.blobsCorrupt.get()).values[0]?.value,
    async [Symbol.asyncDispose]() {
      await loops.stop();
      await resources.disposeAsync();
    },
  };
}

describe('A blob of which containerd has a record, and whose file is gone', () => {
  it('is withdrawn, counted and named, and advertised again when its file is back', async () => {
    await using node = await ContainerdNode.start();
    const [lost, held] = [await node.putBlob(BYTES), await node.putBlob(Buffer.from('held'))];
    const path = blobPath(node.contentPath, lost);
    await rm(path);
    await using agent = await follow(node, 1 << 30);
    agent.start();
    await eventually(async () => {
      assert.deepEqual([...agent.keys], [held]);
      assert.equal(await agent.corrupt(), 1);
      assert.deepEqual(agent.guard.status()['bad'], {
        [lost]: { finding: 'missing', path, reported: true },
      });
    });
    assert.equal(await agent.guard.store.open(lost), undefined);
    for await (const batch of agent.guard.store.blobs()) {
      assert.deepEqual(
        batch.map(({ digest }) => digest),
        [held],
      );
    }
    const named = agent.lines.filter((line) => line.includes(lost));
    assert.equal(named.length, 1);
    assert.match(named[0] ?? '', /"level":50.*no file on disk/);

    await writeFile(path, BYTES);
    await eventually(async () => {
      assert.ok(agent.keys.has(lost));
      assert.equal(await agent.corrupt(), 0);
    });
  });

  it('is found by a request when nothing is verified in the background', async () => {
    await using node = await ContainerdNode.start();
    const lost = await node.putBlob(BYTES);
    await rm(blobPath(node.contentPath, lost));
    await using agent = await follow(node, 0);
    agent.start();
    await eventually(() => {
      assert.ok(agent.keys.has(lost));
    });
    assert.equal(await agent.guard.store.open(lost), undefined);
    await eventually(() => {
      assert.ok(!agent.keys.has(lost));
    });
    assert.equal(await agent.corrupt(), 1);
  });

  it('is forgotten when containerd forgets it', async () => {
    await using node = await ContainerdNode.start();
    const lost = await node.putBlob(BYTES);
    await rm(blobPath(node.contentPath, lost));
    await using agent = await follow(node, 1 << 30);
    agent.start();
    await eventually(async () => {
      assert.equal(await agent.corrupt(), 1);
    });
    await node.deleteBlob(lost);
    await eventually(async () => {
      assert.equal(await agent.corrupt(), 0);
    });
  });

  it('is not what a deleted blob is, nor one of a folder that is gone', async () => {
    await using node = await ContainerdNode.start();
    const [deleted, unseen] = [await node.putBlob(BYTES), await node.putBlob(Buffer.from('x'))];
    await using agent = await follow(node, 0);
    agent.start();
    await eventually(() => {
      assert.equal(agent.keys.size, 2);
    });
    await node.deleteBlob(deleted);
    assert.equal(await node.store.lostFile(deleted), undefined);
    await rm(node.contentPath, { recursive: true });
    assert.equal(await node.store.lostFile(unseen), undefined);
    assert.equal(await agent.corrupt(), 0);
    await writeFile(node.contentPath, '');
  });
});
